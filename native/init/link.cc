// The wire's end; see link.h.
#include "init/link.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "init/wire.h"

namespace covet {

namespace {
constexpr size_t QUEUE_MAX = 4'096;  // packets; a supervisor that is alive takes one within milliseconds
}

Status Link::open(Fd socket) {
  socket_ = std::move(socket);
  return loop_.watch(socket_.get(), EPOLLIN, *this);
}

void Link::close() {
  if (!socket_) return;
  loop_.unwatch(socket_.get());
  socket_.reset();
  waiting_.clear();
  allowance_ = 0;
  problem_ = nullptr;
}

void Link::send(std::string text, std::initializer_list<int> fds) {
  if (!socket_ || problem_ != nullptr) return;
  if (isHeld_ || !waiting_.empty()) return queue(std::move(text), fds);
  Status sent = sendPacket(socket_.get(), text, {fds.begin(), fds.size()});
  if (sent.ok()) return;
  switch (sent.error().code) {
    case EAGAIN:
    case ENOBUFS:
    case ETOOMANYREFS:  // descriptors in flight are limited too: they are, until the other side reads
      return queue(std::move(text), fds);
    case EPIPE:
    case ECONNRESET:
      return;  // the end is about to be read
    default:
      return fail(sent.error().name());
  }
}

void Link::queue(std::string text, std::initializer_list<int> fds) {
  Waiting entry{std::move(text), {}};
  for (int fd : fds) {
    Result<Fd> copy = duplicate(fd);
    if (copy.ok()) entry.fds.push_back(std::move(*copy));
    else return fail(copy.error().name());
  }
  waiting_.push_back(std::move(entry));
  if (waiting_.size() > QUEUE_MAX + allowance_) return fail("it leaves its packets unread");
  loop_.change(socket_.get(), EPOLLIN | EPOLLOUT, *this);
}

void Link::release() {
  isHeld_ = false;
  if (socket_ && problem_ == nullptr && !waiting_.empty()) flush();
}

// Told from the loop, not from inside send(): a socket that was shut down is hung up, whether it is full or not.
void Link::fail(const char* why) {
  problem_ = why;
  shutdown(socket_.get(), SHUT_RDWR);
}

void Link::flush() {
  while (!waiting_.empty()) {
    Waiting& entry = waiting_.front();
    std::vector<int> fds;
    for (const Fd& fd : entry.fds) fds.push_back(fd.get());
    Status sent = sendPacket(socket_.get(), entry.text, fds);
    if (!sent.ok()) {
      int code = sent.error().code;
      if (code == EAGAIN || code == ENOBUFS || code == ETOOMANYREFS) return;
      if (code != EPIPE && code != ECONNRESET) return end(sent.error().name());
    }
    waiting_.pop_front();
  }
  allowance_ = 0;
  loop_.change(socket_.get(), EPOLLIN, *this);
}

void Link::onEvents(uint32_t events) {
  if (problem_ != nullptr) return end(problem_);
  if ((events & EPOLLOUT) != 0) flush();
  if (!socket_) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) readOne();
}

void Link::drain() {
  while (socket_ && readOne()) continue;
}

// False when there is nothing more to read.
bool Link::readOne() {
  Result<Packet> packet = receivePacket(socket_.get());
  if (packet.ok() && !packet->isEnd) {
    events_.onPacket(std::move(*packet));
    return true;
  }
  if (packet.ok()) {
    end(nullptr);
  } else if (packet.error().code == EMSGSIZE) {
    send(errorText(0, SysError{EINVAL, "recvmsg"}));
    return true;
  } else if (packet.error().code != EAGAIN) {
    end(packet.error().name());
  }
  return false;
}

void Link::end(const char* why) {
  close();
  events_.onLinkEnd(why);
}

}  // namespace covet
