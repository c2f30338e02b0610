// When a connection is taken out of a worker's queue, and who gets it: a state machine without clock or system calls. Times and depths come
// in, decisions go out.
//
//   Parked ──somebody could take──▶ Cold ──its watch says: not empty──▶ Hot ──empty at COOL_LOOKS looks──▶ Cold
//      ◀──────nobody else could─────┴──────────────────────────────────┘
//
// A Cold queue costs nothing: the kernel watches it. Hot ones are looked at together, a round each half of `rescueAfterMs`, as are the queues of
// those that could take from them. A queue is taken from when it was not empty for `rescueAfterMs` and did not become shorter but by us, as long as
// somebody else's queue was empty at the last IDLE_LOOKS looks. So plain overload, where every queue is long, moves nothing and is counted. From then
// on, until its own queue moves again, that worker is known to be stuck: it takes nothing, and half of that time and one empty look of another are
// enough. A queue without a worker of the live generation has nobody to wait for: whoever is free gets its connections.
//
// A worker is named by a number that no other worker ever has: what was decided for one is never carried out on its successor.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

namespace covet {

using QueueId = uint32_t;
using ListenerId = uint32_t;
using WorkerId = uint64_t;

inline constexpr uint32_t TAKE_MAX = 8;  // connections for one worker in one round
inline constexpr int IDLE_LOOKS = 3;
inline constexpr int COOL_LOOKS = 2;

struct Take {
  QueueId from;
  WorkerId to;
  uint32_t count;
  bool operator==(const Take&) const = default;
};

struct Decision {
  std::vector<Take> takes;
  bool isAllStuck = false;  // a queue was due, and no other worker of its listener was idle
};

// What is to be done about watches, in this order.
struct WatchChanges {
  std::vector<QueueId> unwatch;
  std::vector<QueueId> watch;
};

class RescueRule {
 public:
  explicit RescueRule(int64_t rescueAfterMs) : afterMs_(rescueAfterMs), halfMs_(rescueAfterMs / 2) {}

  // Nobody's yet: not watched until one of the three below.
  void addQueue(QueueId queue, ListenerId listener);
  // Its worker is of the live generation and ready; others may be taken from it, and it from others where it is a taker.
  void serve(QueueId queue, WorkerId worker);
  // Its worker is dead, its successor not ready.
  void orphan(QueueId queue);
  // Of the generation before: what still comes to it is the live generation's.
  void retire(QueueId queue);
  void removeQueue(QueueId queue);

  // Workers that take hand-overs; each for the listeners of the queues that it serves.
  void addTaker(WorkerId worker);
  void removeTaker(WorkerId worker);

  WatchChanges takeWatchChanges();
  void onReady(QueueId queue, int64_t nowMs);

  // When the next look is due; INT64_MAX while there is none.
  int64_t nextLookMs() const;
  std::vector<QueueId> dueLooks(int64_t nowMs) const;
  void onLook(QueueId queue, uint32_t depth, int64_t nowMs);
  // After the looks of one instant. `free`: takers that can be given something now.
  Decision decide(int64_t nowMs, const std::set<WorkerId>& free);
  // Of `asked` connections so many were there.
  void onTaken(QueueId queue, uint32_t asked, uint32_t got);

  // Who could serve a connection of this listener: idle ones and shorter queues first, then who was given something longest ago.
  std::vector<WorkerId> takersOf(ListenerId listener, const std::set<WorkerId>& free) const;

 private:
  enum class Duty { None, Served, Orphaned, Retired };
  enum class Watch { Parked, Cold, Hot };

  struct Queue {
    ListenerId listener;
    Duty duty = Duty::None;
    WorkerId worker = 0;  // while it is served
    Watch watch = Watch::Parked;
    int64_t lookDueMs = 0;       // while it is hot
    int64_t lookedAtMs = 0;
    int64_t waitingSinceMs = 0;  // not empty and not shorter since; 0: empty
    uint32_t depth = 0;          // at its last look, less what was taken since
    int hotLooks = 0;
    int emptyLooks = 0;          // in a row
    bool isStuck = false;        // it was taken from, and its worker has shown no progress since: it may be empty because we emptied it

    // How often in a row it was seen empty. One that its watch tells nothing of is.
    int emptiness() const { return watch == Watch::Cold ? IDLE_LOOKS : emptyLooks; }
  };

  struct Candidate {
    WorkerId worker;
    int emptiness;
    uint32_t depth;
    uint64_t givenAt;
    auto rank() const { return std::tuple(emptiness < IDLE_LOOKS, depth, givenAt, worker); }
  };
  using Budget = std::map<WorkerId, uint32_t>;  // connections that each may still be given in this round

  void assign(QueueId queue, Duty duty, WorkerId worker);
  void setWatches();
  static void onProgress(Queue& queue);
  void watchAgain(QueueId id, Queue& queue);
  bool isDue(const Queue& queue, int64_t nowMs) const;
  // Workers other than `but` that are takers, serve the listener and are not known to be stuck.
  std::vector<Candidate> candidates(ListenerId listener, WorkerId but) const;
  void share(QueueId from, uint32_t depth, const std::vector<Candidate>& among, Budget& budget, Decision& decision);

  int64_t afterMs_;
  int64_t halfMs_;
  std::map<QueueId, Queue> queues_;
  std::map<WorkerId, uint64_t> takers_;  // and when each was given something last, by counting
  uint64_t given_ = 0;
  WatchChanges changes_;
};

}  // namespace covet
