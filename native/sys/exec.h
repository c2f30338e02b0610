// execve with a clean slate: what a program must not inherit is put back, and kept as it was if the exec fails.
// execve(2): caught signals return to their default by themselves; ignored ones and the mask do not.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "result.h"

namespace covet {

// Replaces this process and returns only a failure: ENOENT, EACCES, E2BIG, ENOEXEC, EBADF (of `keep`). The new program has descriptors
// 0 to 2 and `keep`, no ignored and no blocked signal. After a failure this program runs on as before, but that its descriptors from 3
// on are CLOEXEC.
SysError execClean(const std::string& path, std::span<const std::string> argv, std::span<const std::string> env, std::span<const int> keep);

}  // namespace covet
