// close_range with CLOEXEC, or the long way; see cloexec.h.
#include "cloexec.h"

#include <dirent.h>
#include <sys/syscall.h>

#include <memory>

#include "fd.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace covet {

namespace {

struct CloseDir {
  void operator()(DIR* directory) const { closedir(directory); }
};

Status setCloexecOneByOne(int first) {
  std::unique_ptr<DIR, CloseDir> directory(opendir("/proc/self/fd"));
  if (!directory) return lastError("opendir");
  while (dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    int fd = atoi(entry->d_name);
    // Another thread may have closed it meanwhile: EBADF, ignoring.
    if (fd >= first) (void)setCloexec(fd, true);
  }
  return {};
}

}  // namespace

Status setCloexecFrom(int first) {
  if (syscall(SYS_close_range, static_cast<unsigned>(first), ~0U, CLOSE_RANGE_CLOEXEC) == 0) return {};
  // ENOSYS before 5.9, EINVAL before 5.11 (the flag), EPERM under an old container's seccomp profile.
  return setCloexecOneByOne(first);
}

}  // namespace covet
