// The one loop of covet-init: level-triggered epoll, one event a turn. One, so that a handler may drop any other watcher, itself
// included, without a stale event of the same batch calling it afterwards; the kernel keeps the turns fair. epoll(7).
#pragma once

#include <cstdint>

#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/result.h"

namespace covet {

class Watcher {
 public:
  virtual void onEvents(uint32_t events) = 0;

 protected:
  ~Watcher() = default;
};

class Loop {
 public:
  Status open();

  // `watcher` must outlive its watch. EPOLLHUP and EPOLLERR come even when `events` is 0.
  Status watch(int fd, uint32_t events, Watcher& watcher);
  void change(int fd, uint32_t events, Watcher& watcher);
  // Before the descriptor is closed: a duplicate elsewhere would keep its events coming (epoll(7), question 6).
  void unwatch(int fd);

  // Waits for one event, at most until `deadlineMs` (-1: for ever), and has it handled.
  void turn(int64_t deadlineMs);

 private:
  Fd epoll_;
};

}  // namespace covet
