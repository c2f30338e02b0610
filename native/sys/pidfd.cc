// Processes by descriptor; see pidfd.h.
#include "pidfd.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace covet {

namespace {

// struct pidfd_info of linux/pidfd.h, version 1 (64 bytes): headers of the build machine may be older than the kernel.
struct PidfdInfo {
  uint64_t mask;
  uint64_t cgroupId;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exitCode;
};
static_assert(sizeof(PidfdInfo) == 64);

constexpr uint64_t INFO_EXIT = 1 << 3;
constexpr unsigned long GET_INFO = _IOWR(0xFF, 11, PidfdInfo);

}  // namespace

Result<Fd> pidfdOpen(pid_t pid) {
  // The kernel sets CLOEXEC on every pidfd.
  long fd = syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return lastError("pidfd_open");
  return Fd(static_cast<int>(fd));
}

Status pidfdSignal(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) < 0) return lastError("pidfd_send_signal");
  return {};
}

Result<Fd> pidfdGetfd(int pidfd, int fd) {
  long copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  if (copy < 0) return lastError("pidfd_getfd");
  return Fd(static_cast<int>(copy));
}

Status pidfdSignalGroup(int pidfd, int signal) {
  constexpr unsigned PROCESS_GROUP = 1 << 2;  // PIDFD_SIGNAL_PROCESS_GROUP
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, PROCESS_GROUP) < 0) return lastError("pidfd_send_signal");
  return {};
}

std::optional<int> pidfdExitStatus(int pidfd) {
  PidfdInfo info{};
  info.mask = INFO_EXIT;
  if (ioctl(pidfd, GET_INFO, &info) < 0 || (info.mask & INFO_EXIT) == 0) return std::nullopt;
  return info.exitCode;
}

Result<ProcessStat> processStat(pid_t pid) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return lastError("open");
  char text[1024];
  ssize_t size = read(file.get(), text, sizeof text - 1);
  if (size < 0) return lastError("read");
  text[size] = '\0';
  ProcessStat stat{};
  // The name in field 2 may hold spaces and parentheses: count from the last ')'.
  char* at = strrchr(text, ')');
  for (int field = 3; at != nullptr && (at = strchr(at, ' ')) != nullptr; field++) {
    at++;
    if (field == 3) stat.state = *at;
    if (field == 22) stat.start = strtoull(at, nullptr, 10);
    if (field == 52) stat.status = atoi(at);
  }
  if (stat.start == 0) return SysError{EPROTO, "read"};
  return stat;
}

}  // namespace covet
