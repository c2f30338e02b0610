// covet-init's end of the wire: sends packets in order without ever waiting, and hands on what arrives.
// What the socket cannot take is queued with duplicates of its descriptors. A supervisor that leaves more than QUEUE_MAX packets
// unread is hung, and is treated as dead: covet-init's memory does not depend on its goodwill.
#pragma once

#include <deque>
#include <initializer_list>
#include <string>
#include <vector>

#include "init/loop.h"
#include "init/packet_sink.h"
#include "sys/packet.h"

namespace covet {

// Who listens to a link. Neither call may come from inside Link::send.
class LinkEvents {
 public:
  virtual void onPacket(Packet packet) = 0;
  // The other side closed it (`why` is null), or cannot be spoken to; the link is closed already.
  virtual void onLinkEnd(const char* why) = 0;

 protected:
  ~LinkEvents() = default;
};

class Link : public Watcher, public PacketSink {
 public:
  Link(Loop& loop, LinkEvents& events) : loop_(loop), events_(events) {}
  ~Link() { close(); }

  Status open(Fd socket);
  void close();
  bool isOpen() const { return static_cast<bool>(socket_); }
  int fd() const { return socket_.get(); }
  // Nothing of ours waits to be sent: the other side's socket has all of it.
  bool isIdle() const { return waiting_.empty(); }

  // Descriptors are borrowed. Sent on a closed link, a packet is dropped: the next hello tells everything again.
  void send(std::string text, std::initializer_list<int> fds = {}) override;
  // What is sent from here on waits for `release`: first what it says is recorded elsewhere.
  void hold() { isHeld_ = true; }
  void release();
  // A hello's answer may be longer than QUEUE_MAX: it is as long as what is held.
  void allow(size_t packets) { allowance_ += packets; }
  // Takes everything that was sent before the other side died.
  void drain();

  void onEvents(uint32_t events) override;

 private:
  struct Waiting {
    std::string text;
    std::vector<Fd> fds;
  };

  void queue(std::string text, std::initializer_list<int> fds);
  void fail(const char* why);
  void flush();
  bool readOne();
  void end(const char* why);

  Loop& loop_;
  LinkEvents& events_;
  Fd socket_;
  std::deque<Waiting> waiting_;
  size_t allowance_ = 0;
  bool isHeld_ = false;
  const char* problem_ = nullptr;  // met while sending, told from the loop
};

}  // namespace covet
