// What this host allows, each tried and not guessed from a version: containers, seccomp profiles and sysctls take features away that
// the kernel has. Every probe leaves nothing behind. 0, or the errno of the first call that was refused.
#pragma once

namespace covet {

// A classic selector program on a reuseport group.
int probeReuseportBpf();
// The maps and program type of `load` dispatch: REUSEPORT_SOCKARRAY, a mmapable array, SK_REUSEPORT. EPERM: CAP_BPF is missing.
int probeEbpf();
// ENOSYS, or EPERM by seccomp or kernel.io_uring_disabled.
int probeIoUring();
// pidfd_open and pidfd_send_signal, on this process.
int probePidfd();
// PIDFD_GET_INFO tells the exit status of a reaped process (Linux 6.15).
int probePidfdInfoExit();
// kernel.yama.ptrace_scope; 0 where there is no Yama.
int ptraceScope();

}  // namespace covet
