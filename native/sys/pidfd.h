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

// A duplicate of a process's descriptor, CLOEXEC: pidfd_getfd(2). Fails with EBADF, ESRCH, EPERM (ptrace(2)'s rules), ENOSYS before Linux 5.6.
Result<Fd> pidfdGetfd(int pidfd, int fd);

// To every process of the group that the process leads. Fails with EINVAL before Linux 6.9, ESRCH when it leads none.
Status pidfdSignalGroup(int pidfd, int signal);

// The raw wait status of a process that was reaped by whoever its parent is; nullopt while it was not, or before Linux 6.15.
std::optional<int> pidfdExitStatus(int pidfd);

// From /proc/PID/stat (proc_pid_stat(5)); a zombie still has one. With the pid, `start` names one process for ever.
struct ProcessStat {
  char state;                 // field 3; 'Z': it ended and was not reaped
  unsigned long long start;   // field 22, clock ticks after boot
  int status;                 // field 52, the raw wait status of a zombie; 0 where we may not look
};

// Fails with ENOENT, ESRCH, EPROTO.
Result<ProcessStat> processStat(pid_t pid);

}  // namespace covet
