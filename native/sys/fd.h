// An owned file descriptor: closed exactly once, by whoever holds it last. Raw ints appear only in system calls and where a
// descriptor is borrowed for the length of one call. Every descriptor is CLOEXEC from birth; inheritance is chosen at spawn.
// close(2): after EINTR Linux has closed the descriptor, so it is never retried.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <type_traits>

#include "result.h"

namespace covet {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Gives the descriptor away: the caller closes it.
  [[nodiscard]] int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }

  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

static_assert(!std::is_copy_constructible_v<Fd> && !std::is_copy_assignable_v<Fd>);
static_assert(std::is_nothrow_move_constructible_v<Fd>);

// A second descriptor of the same description, CLOEXEC. Fails with EBADF, EMFILE.
inline Result<Fd> duplicate(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return lastError("fcntl");
  return Fd(copy);
}

inline Status setCloexec(int fd, bool on) {
  int flags = fcntl(fd, F_GETFD);
  if (flags < 0) return lastError("fcntl");
  if (fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC) < 0) return lastError("fcntl");
  return {};
}

// O_NONBLOCK belongs to the open file description: every duplicate of it is changed too.
inline Status setNonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return lastError("fcntl");
  return {};
}

}  // namespace covet
