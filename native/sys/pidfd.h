// Processes by descriptor: a pidfd names one process for ever, where a number may be reused. Signals, and the exit status of a
// process that is somebody else's child.
// pidfd_open(2), pidfd_send_signal(2), ioctl_pidfd(2) (PIDFD_GET_INFO: Linux 6.13, exit status 6.15).
#pragma once

#include <sys/types.h>

#include <optional>

#include "fd.h"
#include "result.h"

namespace covet {

// Fails with ESRCH (no such process), EMFILE.
Result<Fd> pidfdOpen(pid_t pid);

// Fails with ESRCH when the process is gone, EPERM, EINVAL.
Status pidfdSignal(int pidfd, int signal);

// The raw wait status of a process that was reaped by whoever its parent is; nullopt while it was not, or before Linux 6.15.
std::optional<int> pidfdExitStatus(int pidfd);

// Clock ticks after boot at which the process began (/proc/PID/stat, field 22): with the pid it names one process for ever.
// Works for a zombie. Fails with ENOENT, ESRCH.
Result<unsigned long long> processStart(pid_t pid);

}  // namespace covet
