// Gives accepted connections to workers, each over a SEQPACKET pair of its own, in the words of hand_over.h.
//
//   accepted ──give──▶ with a worker ──"taken"──▶ ours is closed
//                │           └──"refused", its end──▶ held ──give──▶ …      held and nobody there in time ──▶ reset
//                └──its socket is full──▶ waits there, in order
//
// Until a worker has said that it took a connection we keep ours, so none is lost with it. A worker answers in the turn in which it takes and reads
// from a connection in a later one, so what it did not answer for it has not read from. Nothing here waits. One worker's connections are
// bounded by what it may be given while it is free, TAKE_MAX.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "acceptor/counts.h"
#include "acceptor/rescue_rule.h"
#include "acceptor/watches.h"
#include "sys/fd.h"

namespace covet {

inline constexpr int64_t HOLD_MS = 10'000;         // queueMs: a client waits as long for a worker that is due
inline constexpr int64_t REFUSED_PAUSE_MS = 1'000;  // of a worker that refused: it has no room, or no such server any more

struct Connection {
  Fd fd;
  ListenerId listener;
  int64_t untilMs;  // then it is reset, unless a worker has it
};

class Giver {
 public:
  Giver(Watches& watches, RescueCounts& counts) : watches_(watches), counts_(counts) {}

  void add(WorkerId worker, Fd pair, int64_t nowMs);
  // What it has not answered for is held. So is a worker lost of which give() or onReady() says false.
  void remove(WorkerId worker);
  bool has(WorkerId worker) const { return takers_.contains(worker); }
  // Takers that have answered for everything.
  std::set<WorkerId> free(int64_t nowMs) const;

  // All of one listener, whose key is `key`. False when the worker is gone; the connections are held then.
  bool give(WorkerId worker, std::string_view key, std::vector<Connection> connections, int64_t nowMs);
  // Its pair is readable, writable, or at its end. False: it is gone.
  bool onReady(WorkerId worker, int64_t nowMs);

  size_t heldCount() const { return held_.size(); }
  std::set<ListenerId> heldListeners() const;
  std::vector<Connection> takeHeld(ListenerId listener, size_t max);
  void hold(std::vector<Connection> connections);
  // Resets what was held for too long.
  void expire(int64_t nowMs);
  int64_t nextDeadlineMs(int64_t nowMs) const;
  // Lets go of everything: what is held is reset; what a worker was sent is its own.
  void close();

 private:
  struct Batch {
    std::string packet;
    std::vector<Connection> connections;
    bool isSent = false;
  };
  struct Taker {
    Fd pair;
    std::deque<Batch> batches;  // sent ones first, in the order in which they are answered
    int64_t pausedUntilMs = 0;
  };

  bool flush(Taker& taker, int64_t nowMs);
  bool readAnswers(Taker& taker, int64_t nowMs);
  bool onAnswer(Taker& taker, std::string_view text, int64_t nowMs);
  void watch(WorkerId worker, Taker& taker, int64_t nowMs);
  void giveBack(Batch batch);
  void reset(Connection& connection);

  Watches& watches_;
  RescueCounts& counts_;
  std::map<WorkerId, Taker> takers_;
  std::deque<Connection> held_;
};

}  // namespace covet
