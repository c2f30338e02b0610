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

std::optional<int> pidfdExitStatus(int pidfd) {
  PidfdInfo info{};
  info.mask = INFO_EXIT;
  if (ioctl(pidfd, GET_INFO, &info) < 0 || (info.mask & INFO_EXIT) == 0) return std::nullopt;
  return info.exitCode;
}

Result<unsigned long long> processStart(pid_t pid) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return lastError("open");
  char text[1024];
  ssize_t size = read(file.get(), text, sizeof text - 1);
  if (size < 0) return lastError("read");
  text[size] = '\0';
  // The name in field 2 may hold spaces and parentheses: count from the last ')'. What follows its space is field 3.
  char* at = strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 22; field++) at = strchr(at + 1, ' ');
  if (at == nullptr) return SysError{EPROTO, "read"};
  return strtoull(at + 1, nullptr, 10);
}

}  // namespace covet
