// Accepting on behalf of others, without waiting, and what an errno of accept(2) means then: nothing, a shortage that passes, or a socket that is
// none any more. By accept4(2) for either back end: io_uring's ACCEPT waits on an empty queue even where the socket is non-blocking (Linux 6.10
// has a flag against it), and would take the next connection from a worker that is well; and it costs 3 % less at best.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sys/fd.h"

namespace covet {

enum class AcceptTrouble { None, QueueEmpty, ConnectionGone, NoDescriptors, NoMemory, NoListener };

constexpr AcceptTrouble acceptTrouble(int code) {
  switch (code) {
    case 0:
      return AcceptTrouble::None;
    case EAGAIN:
      return AcceptTrouble::QueueEmpty;
    case EMFILE:
    case ENFILE:
      return AcceptTrouble::NoDescriptors;
    case ENOBUFS:
    case ENOMEM:
      return AcceptTrouble::NoMemory;
    case EBADF:
    case EINVAL:  // it does not listen, or not any more
    case ENOTSOCK:
      return AcceptTrouble::NoListener;
    default:
      // ECONNABORTED, EINTR, EPROTO, ENETDOWN, EHOSTUNREACH, ENONET, EOPNOTSUPP…: of one connection, as accept(2) says, that may be passed over.
      return AcceptTrouble::ConnectionGone;
  }
}

// Up to `max` connections, CLOEXEC and non-blocking, from a listening socket that is non-blocking. 0, or the errno that ended it early: EAGAIN
// when the queue is empty.
inline int acceptSome(int listener, size_t max, std::vector<Fd>& into) {
  for (size_t i = 0; i < max; i++) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return errno;
    into.emplace_back(fd);
  }
  return 0;
}

// While there is a shortage connections wait in their queue; trying again at once would only spin, so each pause is longer.
class AcceptPause {
 public:
  static constexpr int64_t SHORTEST_MS = 10;
  static constexpr int64_t LONGEST_MS = 100;

  void begin(int64_t now) {
    lengthMs_ = lengthMs_ == 0 ? SHORTEST_MS : std::min(lengthMs_ * 2, LONGEST_MS);
    untilMs_ = now + lengthMs_;
  }
  // Something was accepted.
  void end() { lengthMs_ = untilMs_ = 0; }
  bool isOn(int64_t now) const { return now < untilMs_; }
  int64_t untilMs() const { return untilMs_; }

 private:
  int64_t lengthMs_ = 0;
  int64_t untilMs_ = 0;
};

}  // namespace covet
