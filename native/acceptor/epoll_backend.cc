// The back end that every host has: epoll with EPOLLONESHOT, an eventfd to be woken by. epoll(7), eventfd(2).
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "acceptor/backend.h"
#include "sys/clock.h"
#include "sys/fd.h"

namespace covet {

namespace {

constexpr uint64_t WAKE = UINT64_MAX;
constexpr int EVENTS_PER_WAIT = 64;

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT);

class EpollBackend final : public Backend {
 public:
  Status open() {
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return lastError("epoll_create1");
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return lastError("eventfd");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = WAKE;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) < 0) return lastError("epoll_ctl");
    return {};
  }

  BackendKind kind() const override { return BackendKind::Epoll; }

  Status watchOnce(int fd, uint64_t token, short events) override {
    epoll_event event{};
    event.events = static_cast<uint32_t>(events) | EPOLLONESHOT;
    event.data.u64 = token;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) return {};
    if (errno != ENOENT || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return lastError("epoll_ctl");
    return {};
  }

  // ENOENT: it was never watched.
  void unwatch(int fd, uint64_t) override { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  void wait(int64_t deadlineMs, std::vector<uint64_t>& ready) override {
    int timeout = -1;
    if (deadlineMs != NEVER_MS) timeout = static_cast<int>(std::clamp<int64_t>(deadlineMs - nowMs(), 0, INT_MAX));
    epoll_event events[EVENTS_PER_WAIT];
    int count = epoll_wait(epoll_.get(), events, EVENTS_PER_WAIT, timeout);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 != WAKE) {
        ready.push_back(events[i].data.u64);
        continue;
      }
      uint64_t value;
      (void)!read(wake_.get(), &value, sizeof value);
    }
  }

  void wake() override {
    uint64_t one = 1;
    // EAGAIN: the counter is at its end, so the thread is awake anyway.
    (void)!write(wake_.get(), &one, sizeof one);
  }

 private:
  Fd epoll_;
  Fd wake_;
};

}  // namespace

Result<std::unique_ptr<Backend>> openEpollBackend() {
  auto backend = std::make_unique<EpollBackend>();
  if (Status opened = backend->open(); !opened.ok()) return opened.error();
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace covet
