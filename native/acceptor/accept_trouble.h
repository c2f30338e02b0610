// What an errno of accept(2) means for whoever accepts on behalf of others: nothing, a shortage that passes, or a socket that is none any
// more. Shortages leave connections in their queue, where they wait; trying again at once would only spin, so each pause is longer.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>

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
