// What the acceptor's thread asks of the kernel, behind one face with two back ends: to be told once when a descriptor is ready, to sleep
// until then or until a deadline, and to be woken from another thread. All but wake() belong to one thread.
//
// A watch is one-shot: a queue that is busy must not wake us for each of its connections. Tokens are the caller's and below TOKEN_MAX;
// one may come from wait() after its watch has been taken away, or without anything being there: it is a reason to look, not a fact.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sys/result.h"

namespace covet {

enum class BackendKind { Epoll, IoUring };

inline constexpr uint64_t TOKEN_MAX = uint64_t{1} << 60;
inline constexpr int64_t NEVER_MS = INT64_MAX;

class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendKind kind() const = 0;

  // `events` is POLLIN, POLLOUT or both; hang-ups and errors are always told. It takes the place of the token's watch, if there is one.
  // Fails with ENOSPC (fs.epoll.max_user_watches), ENOMEM.
  virtual Status watchOnce(int fd, uint64_t token, short events) = 0;
  // Before the descriptor is closed: a watch holds the open file, which has other holders (epoll(7), question 6).
  virtual void unwatch(int fd, uint64_t token) = 0;

  // Sleeps until something is ready, wake() or the deadline; appends the tokens.
  virtual void wait(int64_t deadlineMs, std::vector<uint64_t>& ready) = 0;
  // From any thread; also before wait() begins.
  virtual void wake() = 0;
};

// Fails with EMFILE, ENFILE, ENOMEM.
Result<std::unique_ptr<Backend>> openEpollBackend();
// Also with what a host says that does not allow it: ENOSYS, EPERM (seccomp, kernel.io_uring_disabled), EINVAL (before Linux 5.11).
Result<std::unique_ptr<Backend>> openUringBackend();

struct ChosenBackend {
  std::unique_ptr<Backend> backend;
  SysError refused;  // why it is not io_uring; code 0 where it is, or was not asked for
};

enum class BackendWish { Auto, Epoll, IoUring };

// Auto tries io_uring and takes epoll where that is refused.
Result<ChosenBackend> chooseBackend(BackendWish wish);

}  // namespace covet
