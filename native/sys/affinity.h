// Which CPUs a process may run on, as the kernel masks them (affinity and cpuset together). sched_getaffinity(2).
#pragma once

#include <sys/types.h>

#include <vector>

#include "result.h"

namespace covet {

// CPU numbers, ascending; pid 0 is the calling thread. Fails with ESRCH.
Result<std::vector<int>> affinity(pid_t pid);

}  // namespace covet
