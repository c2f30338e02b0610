// The back end by io_uring: POLL_ADD for a watch, and for the eventfd to be woken by. Each completion says by the upper bits of its user data what it
// belongs to; those of watches that come while something else is awaited are kept for wait().
#include <poll.h>
#include <sys/eventfd.h>

#include <map>
#include <utility>

#include "acceptor/backend.h"
#include "acceptor/uring.h"
#include "sys/fd.h"

namespace covet {

namespace {

constexpr uint64_t REMOVAL = uint64_t{1} << 62;
constexpr uint64_t WAKE = uint64_t{2} << 62;
constexpr uint64_t KIND = uint64_t{3} << 62;  // 0: a watch, the rest is its token
static_assert(TOKEN_MAX <= REMOVAL);

class UringBackend final : public Backend {
 public:
  Status open() {
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return lastError("eventfd");
    return ring_.open();
  }

  BackendKind kind() const override { return BackendKind::IoUring; }

  Status watchOnce(int fd, uint64_t token, short events) override {
    if (auto found = watches_.find(token); found != watches_.end()) {
      if (found->second == events) return {};
      unwatch(fd, token);
    }
    prepare(IORING_OP_POLL_ADD, fd, token).poll32_events = pollMask(events);
    watches_[token] = events;
    return {};
  }

  // Until it is really gone: a poll holds the open file, and whoever closes a listening socket wants its port free at once.
  void unwatch(int, uint64_t token) override {
    if (!watches_.contains(token)) return;
    prepare(IORING_OP_POLL_REMOVE, -1, REMOVAL).addr = token;
    while (watches_.contains(token)) {
      ring_.enter(1, NEVER_MS);
      reapAll();
    }
  }

  void wait(int64_t deadlineMs, std::vector<uint64_t>& ready) override {
    if (!isWakeWatched_) prepare(IORING_OP_POLL_ADD, wake_.get(), WAKE).poll32_events = pollMask(POLLIN);
    isWakeWatched_ = true;
    ring_.enter(ready_.empty() ? 1 : 0, deadlineMs);
    reapAll();
    ready.insert(ready.end(), ready_.begin(), ready_.end());
    ready_.clear();
  }

  void wake() override {
    uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof one);  // EAGAIN: the thread is awake anyway
  }

 private:
  // The kernel reads the mask as a little-endian word; events below 2^16 lie in its upper half on big-endian machines.
  static uint32_t pollMask(short events) {
    uint32_t mask = static_cast<uint16_t>(events);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? mask : mask << 16 | mask >> 16;
  }

  io_uring_sqe& prepare(uint8_t operation, int fd, uint64_t userData) {
    for (;;) {
      if (io_uring_sqe* entry = ring_.prepare(operation, fd, userData)) return *entry;
      ring_.enter(0, NEVER_MS);
      reapAll();
    }
  }

  void reapAll() {
    io_uring_cqe completion;
    while (ring_.reap(completion)) {
      switch (completion.user_data & KIND) {
        case REMOVAL:
          break;
        case WAKE: {
          uint64_t value;
          (void)!read(wake_.get(), &value, sizeof value);
          isWakeWatched_ = false;
          break;
        }
        default:
          watches_.erase(completion.user_data);
          if (completion.res != -ECANCELED) ready_.push_back(completion.user_data);
      }
    }
  }

  Fd wake_;
  Uring ring_;
  bool isWakeWatched_ = false;
  std::map<uint64_t, short> watches_;  // by token
  std::vector<uint64_t> ready_;
};

}  // namespace

Result<std::unique_ptr<Backend>> openUringBackend() {
  auto backend = std::make_unique<UringBackend>();
  if (Status opened = backend->open(); !opened.ok()) return opened.error();
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace covet
