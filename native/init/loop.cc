// The loop; see loop.h.
#include "init/loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <climits>

namespace covet {

Status Loop::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return lastError("epoll_create1");
  return {};
}

Status Loop::watch(int fd, uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return lastError("epoll_ctl");
  return {};
}

void Loop::change(int fd, uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Loop::turn(int64_t deadlineMs) {
  int timeout = -1;
  if (deadlineMs >= 0) timeout = static_cast<int>(std::clamp<int64_t>(deadlineMs - nowMs(), 0, INT_MAX));
  epoll_event event;
  if (epoll_wait(epoll_.get(), &event, 1, timeout) == 1) static_cast<Watcher*>(event.data.ptr)->onEvents(event.events);
}

}  // namespace covet
