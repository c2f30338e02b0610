// One-shot watches of the acceptor's thread. What the kernel does not watch (fs.epoll.max_user_watches, no memory) is looked at ten times a
// second instead, and its watch tried again then. A token names what is watched: a queue or a worker.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "acceptor/backend.h"

namespace covet {

class Watches {
 public:
  static constexpr int64_t RETRY_MS = 100;

  explicit Watches(Backend& backend) : backend_(backend) {}

  void watch(int fd, uint64_t token, short events, int64_t nowMs) {
    if (backend_.watchOnce(fd, token, events).ok()) retries_.erase(token);
    else retries_[token] = nowMs + RETRY_MS;
  }

  void unwatch(int fd, uint64_t token) {
    retries_.erase(token);
    backend_.unwatch(fd, token);
  }

  int64_t nextRetryMs() const {
    int64_t next = NEVER_MS;
    for (const auto& [token, atMs] : retries_) next = std::min(next, atMs);
    return next;
  }

  void passRetries(int64_t nowMs, std::vector<uint64_t>& ready) {
    std::erase_if(retries_, [&](const auto& retry) {
      if (retry.second > nowMs) return false;
      ready.push_back(retry.first);
      return true;
    });
  }

 private:
  Backend& backend_;
  std::map<uint64_t, int64_t> retries_;
};

inline uint64_t queueToken(uint32_t queue) { return uint64_t{queue} << 1; }
inline uint64_t workerToken(uint64_t worker) { return worker << 1 | 1; }

}  // namespace covet
