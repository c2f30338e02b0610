// The lock file; see lock.h.
#include "init/lock.h"

#include <poll.h>
#include <sys/file.h>

#include <cstdio>
#include <cstdlib>

namespace covet {

namespace {

constexpr int WAIT_MS = 500;
constexpr int STEP_MS = 5;

}  // namespace

Lock takeLock(const char* path) {
  Lock lock;
  Fd fd(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) {
    lock.error = lastError("open");
    return lock;
  }
  char text[24] = {};
  if (flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
    lock.error = lastError("flock");
    if (pread(fd.get(), text, sizeof text - 1, 0) > 0) lock.holder = static_cast<pid_t>(atoi(text));
    return lock;
  }
  int size = snprintf(text, sizeof text, "%d\n", getpid());
  if (ftruncate(fd.get(), 0) < 0 || pwrite(fd.get(), text, static_cast<size_t>(size), 0) != size) {
    lock.error = lastError("write");
    return lock;
  }
  lock.fd = std::move(fd);
  return lock;
}

Lock takeLockOfOneKilled(const char* path) {
  Lock lock = takeLock(path);
  for (int waited = 0; lock.error.code == EWOULDBLOCK && waited < WAIT_MS; waited += STEP_MS) {
    poll(nullptr, 0, STEP_MS);
    lock = takeLock(path);
  }
  return lock;
}

}  // namespace covet
