// The rule; see rescue_rule.h.
#include "acceptor/rescue_rule.h"

#include <algorithm>

namespace covet {

void RescueRule::addQueue(QueueId queue, ListenerId listener) { queues_[queue].listener = listener; }

void RescueRule::serve(QueueId queue, WorkerId worker) { assign(queue, Duty::Served, worker); }

void RescueRule::orphan(QueueId queue) { assign(queue, Duty::Orphaned, 0); }

void RescueRule::retire(QueueId queue) { assign(queue, Duty::Retired, 0); }

// What was seen of the queue until now was its former worker's doing.
void RescueRule::assign(QueueId id, Duty duty, WorkerId worker) {
  auto found = queues_.find(id);
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  queue.duty = duty;
  queue.worker = worker;
  queue.waitingSinceMs = 0;
  queue.depth = 0;
  queue.emptyLooks = 0;
  onProgress(queue);
  setWatches();
}

// Its watch goes with its descriptor, which whoever removes it has.
void RescueRule::removeQueue(QueueId queue) {
  queues_.erase(queue);
  std::erase(changes_.watch, queue);
  std::erase(changes_.unwatch, queue);
  setWatches();
}

void RescueRule::addTaker(WorkerId worker) {
  takers_.emplace(worker, 0);
  setWatches();
}

void RescueRule::removeTaker(WorkerId worker) {
  takers_.erase(worker);
  setWatches();
}

// A listener's queues are watched where one of them has somebody else who could take from it: all, since that one's own is to be known as empty.
// One pass finds the takers, one more what they could take from: not each with each, there may be thousands.
void RescueRule::setWatches() {
  std::map<ListenerId, std::set<WorkerId>> takers;
  for (const auto& [id, queue] : queues_) {
    std::set<WorkerId>& known = takers[queue.listener];
    if (queue.duty == Duty::Served && takers_.contains(queue.worker) && known.size() < 2) known.insert(queue.worker);
  }
  std::set<ListenerId> wanted;
  for (const auto& [id, queue] : queues_) {
    const std::set<WorkerId>& known = takers[queue.listener];
    if (queue.duty != Duty::None && known.size() > known.count(queue.worker)) wanted.insert(queue.listener);
  }
  for (auto& [id, queue] : queues_) {
    bool isWanted = queue.duty != Duty::None && wanted.contains(queue.listener);
    if (isWanted == (queue.watch != Watch::Parked)) continue;
    if (isWanted) {
      watchAgain(id, queue);
    } else {
      if (queue.watch == Watch::Cold) changes_.unwatch.push_back(id);
      std::erase(changes_.watch, id);
      queue.watch = Watch::Parked;
    }
  }
}

void RescueRule::watchAgain(QueueId id, Queue& queue) {
  queue.watch = Watch::Cold;
  queue.waitingSinceMs = 0;
  queue.depth = 0;
  std::erase(changes_.unwatch, id);
  changes_.watch.push_back(id);
}

WatchChanges RescueRule::takeWatchChanges() {
  WatchChanges changes;
  std::swap(changes, changes_);
  return changes;
}

void RescueRule::onReady(QueueId id, int64_t nowMs) {
  auto found = queues_.find(id);
  if (found == queues_.end() || found->second.watch != Watch::Cold) return;
  Queue& queue = found->second;
  // With the others that are hot, so that one wake serves all. For an orphan's there is nothing to wait for.
  int64_t round = nextLookMs();
  int64_t latest = queue.duty == Duty::Orphaned ? nowMs : nowMs + halfMs_;
  queue.lookDueMs = round > nowMs ? std::min(round, latest) : latest;
  queue.watch = Watch::Hot;
  queue.hotLooks = 0;
  queue.waitingSinceMs = nowMs;
}

int64_t RescueRule::nextLookMs() const {
  int64_t next = INT64_MAX;
  for (const auto& [id, queue] : queues_) {
    if (queue.watch == Watch::Hot) next = std::min(next, queue.lookDueMs);
  }
  return next;
}

std::vector<QueueId> RescueRule::dueLooks(int64_t nowMs) const {
  std::vector<QueueId> due;
  for (const auto& [id, queue] : queues_) {
    if (queue.watch == Watch::Hot && queue.lookDueMs <= nowMs) due.push_back(id);
  }
  return due;
}

void RescueRule::onLook(QueueId id, uint32_t depth, int64_t nowMs) {
  auto found = queues_.find(id);
  if (found == queues_.end() || found->second.watch != Watch::Hot) return;
  Queue& queue = found->second;
  queue.lookedAtMs = nowMs;
  queue.lookDueMs = nowMs + halfMs_;
  queue.hotLooks++;
  // It became shorter, or what its watch had told of is gone, and it was not us.
  if (depth < queue.depth || (depth == 0 && queue.hotLooks == 1)) onProgress(queue);
  queue.depth = depth;
  if (depth > 0) {
    queue.emptyLooks = 0;
    if (queue.waitingSinceMs == 0) queue.waitingSinceMs = nowMs;
    return;
  }
  queue.waitingSinceMs = 0;
  queue.emptyLooks++;
  if (queue.hotLooks >= COOL_LOOKS && queue.emptyLooks >= COOL_LOOKS) watchAgain(id, queue);
}

void RescueRule::onProgress(Queue& queue) {
  queue.isStuck = false;
  queue.waitingSinceMs = 0;
}

bool RescueRule::isDue(const Queue& queue, int64_t nowMs) const {
  if (queue.watch != Watch::Hot || queue.lookedAtMs != nowMs || queue.depth == 0) return false;
  if (queue.duty != Duty::Served) return true;
  return nowMs - queue.waitingSinceMs >= (queue.isStuck ? halfMs_ : afterMs_);
}

Decision RescueRule::decide(int64_t nowMs, const std::set<WorkerId>& free) {
  // Whoever waits longest first, so that several queues share a taker in turn.
  std::vector<std::pair<int64_t, QueueId>> due;
  for (const auto& [id, queue] : queues_) {
    if (isDue(queue, nowMs)) due.emplace_back(queue.waitingSinceMs, id);
  }
  std::sort(due.begin(), due.end());

  Decision decision;
  Budget budget;
  for (WorkerId worker : free) budget[worker] = TAKE_MAX;
  for (auto [since, id] : due) {
    const Queue& queue = queues_.at(id);
    std::vector<Candidate> among = candidates(queue.listener, queue.worker);
    if (queue.duty == Duty::Served) {
      int enough = queue.isStuck ? 1 : IDLE_LOOKS;
      std::erase_if(among, [&](const Candidate& each) { return each.emptiness < enough; });
      decision.isAllStuck |= among.empty();
    }
    std::erase_if(among, [&](const Candidate& each) { return !budget.contains(each.worker) || budget.at(each.worker) == 0; });
    share(id, queue.depth, among, budget, decision);
  }
  return decision;
}

std::vector<RescueRule::Candidate> RescueRule::candidates(ListenerId listener, WorkerId but) const {
  std::vector<Candidate> found;
  for (const auto& [id, queue] : queues_) {
    if (queue.duty != Duty::Served || queue.listener != listener || queue.worker == but || queue.isStuck) continue;
    auto taker = takers_.find(queue.worker);
    if (taker != takers_.end()) found.push_back({queue.worker, queue.emptiness(), queue.depth, taker->second});
  }
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) { return a.rank() < b.rank(); });
  return found;
}

// Evenly: a queue's connections came to one worker, and are not to make another one the next that is late.
void RescueRule::share(QueueId from, uint32_t depth, const std::vector<Candidate>& among, Budget& budget, Decision& decision) {
  uint32_t left = depth;
  for (size_t i = 0; i < among.size() && left > 0; i++) {
    uint32_t fair = (left + static_cast<uint32_t>(among.size() - i) - 1) / static_cast<uint32_t>(among.size() - i);
    uint32_t& room = budget.at(among[i].worker);
    uint32_t count = std::min(fair, room);
    decision.takes.push_back({from, among[i].worker, count});
    room -= count;
    left -= count;
    takers_.at(among[i].worker) = ++given_;
  }
}

void RescueRule::onTaken(QueueId id, uint32_t asked, uint32_t got) {
  auto found = queues_.find(id);
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  queue.depth -= std::min(queue.depth, got);
  queue.isStuck = true;
  if (queue.depth == 0) queue.waitingSinceMs = 0;
  if (got == asked) return;
  // Somebody else took the rest.
  queue.depth = 0;
  onProgress(queue);
}

std::vector<WorkerId> RescueRule::takersOf(ListenerId listener, const std::set<WorkerId>& free) const {
  std::vector<WorkerId> found;
  for (const Candidate& each : candidates(listener, 0)) {
    if (free.contains(each.worker)) found.push_back(each.worker);
  }
  return found;
}

}  // namespace covet
