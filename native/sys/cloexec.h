// CLOEXEC for many descriptors at once. close_range(2); before Linux 5.11 by /proc/self/fd.
#pragma once

#include "result.h"

namespace covet {

// Every open descriptor from `first` on is CLOEXEC afterwards. Fails with ENOENT or EMFILE where neither way works.
Status setCloexecFrom(int first);

}  // namespace covet
