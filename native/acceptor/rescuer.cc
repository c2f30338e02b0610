// The loop of `rescue`; see rescuer.h.
#include "acceptor/rescuer.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "sys/clock.h"
#include "sys/tcp_queue.h"

namespace covet {

Rescuer::Rescuer(ChosenBackend chosen, int64_t rescueAfterMs)
    : kind_(chosen.backend->kind()),
      refused_(chosen.refused),
      backend_(std::move(chosen.backend)),
      watches_(*backend_),
      rule_(std::max(rescueAfterMs, RESCUE_AFTER_MS_MIN)),
      giver_(watches_, counts_) {}

Rescuer::~Rescuer() = default;

void Rescuer::post(Command command) {
  {
    std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  backend_->wake();
}

void Rescuer::run() {
  std::vector<uint64_t> ready;
  while (!isStopping_) {
    changeWatches();
    backend_->wait(nextDeadlineMs(), ready);
    counts_.wakes += 1;
    nowMs_ = nowMs();
    takeCommands();
    watches_.passRetries(nowMs_, ready);
    for (uint64_t token : std::exchange(ready, {})) onReady(token);
    passRetirements();
    giver_.expire(nowMs_);
    giveHeld();
    if (!pause_.isOn(nowMs_)) look();
  }
  close();
}

int64_t Rescuer::nextDeadlineMs() {
  int64_t next = rule_.nextLookMs();
  if (pause_.isOn(nowMs_)) next = std::max(next, pause_.untilMs());
  for (const auto& [id, queue] : queues_) next = std::min(next, queue.removeAtMs);
  return std::min({next, watches_.nextRetryMs(), giver_.nextDeadlineMs(nowMs_)});
}

void Rescuer::takeCommands() {
  std::vector<Command> commands;
  {
    std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& command : commands) std::visit([this](auto& each) { carryOut(each); }, command);
}

void Rescuer::carryOut(AddQueue& command) {
  dropQueue(command.queue);
  auto known = std::find(listeners_.begin(), listeners_.end(), command.listener);
  ListenerId listener = static_cast<ListenerId>(known - listeners_.begin());
  if (known == listeners_.end()) listeners_.push_back(std::move(command.listener));
  queues_.emplace(command.queue, Queue{std::move(command.socket), listener});
  rule_.addQueue(command.queue, listener);
}

void Rescuer::carryOut(ServeQueue& command) {
  if (auto found = queues_.find(command.queue); found != queues_.end()) found->second.removeAtMs = NEVER_MS;
  rule_.serve(command.queue, command.worker);
}

void Rescuer::carryOut(OrphanQueue& command) {
  if (auto found = queues_.find(command.queue); found != queues_.end()) found->second.removeAtMs = NEVER_MS;
  rule_.orphan(command.queue);
}

void Rescuer::carryOut(RetireQueue& command) {
  if (auto found = queues_.find(command.queue); found != queues_.end()) found->second.removeAtMs = nowMs_ + command.forMs;
  rule_.retire(command.queue);
}

void Rescuer::carryOut(RemoveQueue& command) { dropQueue(command.queue); }

void Rescuer::carryOut(AddTaker& command) {
  giver_.add(command.worker, std::move(command.pair), nowMs_);
  rule_.addTaker(command.worker);
}

void Rescuer::carryOut(RemoveTaker& command) {
  rule_.removeTaker(command.worker);
  giver_.remove(command.worker);
}

void Rescuer::carryOut(Stop&) { isStopping_ = true; }

void Rescuer::onReady(uint64_t token) {
  if ((token & 1) == 0) return rule_.onReady(static_cast<QueueId>(token >> 1), nowMs_);
  WorkerId worker = token >> 1;
  if (!giver_.onReady(worker, nowMs_)) rule_.removeTaker(worker);
}

void Rescuer::changeWatches() {
  WatchChanges changes = rule_.takeWatchChanges();
  for (QueueId id : changes.unwatch) watches_.unwatch(queues_.at(id).socket.get(), queueToken(id));
  for (QueueId id : changes.watch) watches_.watch(queues_.at(id).socket.get(), queueToken(id), POLLIN, nowMs_);
}

void Rescuer::dropQueue(QueueId id) {
  auto found = queues_.find(id);
  if (found == queues_.end()) return;
  rule_.removeQueue(id);
  watches_.unwatch(found->second.socket.get(), queueToken(id));
  queues_.erase(found);
}

void Rescuer::passRetirements() {
  std::vector<QueueId> over;
  for (const auto& [id, queue] : queues_) {
    if (queue.removeAtMs <= nowMs_) over.push_back(id);
  }
  for (QueueId id : over) dropQueue(id);
}

void Rescuer::look() {
  std::vector<QueueId> due = rule_.dueLooks(nowMs_);
  if (due.empty()) return;
  counts_.rounds += 1;
  for (QueueId id : due) {
    Result<TcpQueue> queue = tcpQueue(queues_.at(id).socket.get());
    if (queue.ok() && queue->isListening) {
      rule_.onLook(id, queue->depth, nowMs_);
    } else {
      // Shut down by a worker, say: its watch would say so for ever.
      counts_.noListener += 1;
      dropQueue(id);
    }
  }
  if (giver_.heldCount() >= HELD_MAX) return;
  Decision decision = rule_.decide(nowMs_, giver_.free(nowMs_));
  if (decision.isAllStuck) counts_.allStuck += 1;
  for (const Take& each : decision.takes) take(each);
}

void Rescuer::take(const Take& take) {
  Queue& queue = queues_.at(take.from);
  // Then accept() might wait, and to change that would be to change it for the worker too. Whoever accepts so is not Node.
  if (pause_.isOn(nowMs_) || (fcntl(queue.socket.get(), F_GETFL) & O_NONBLOCK) == 0) return;
  std::vector<Connection> connections = accept(queue, take.count);
  uint32_t got = static_cast<uint32_t>(connections.size());
  counts_.taken += got;
  bool isShort = pause_.isOn(nowMs_);
  if (got > 0 && !isShort) pause_.end();
  // While descriptors are short what is missing may still be there.
  rule_.onTaken(take.from, isShort ? got : take.count, got);
  if (got > 0) give(take.to, queue.listener, std::move(connections));
}

std::vector<Connection> Rescuer::accept(Queue& queue, uint32_t max) {
  std::vector<Fd> fds;
  AcceptTrouble trouble = AcceptTrouble::None;
  for (uint32_t tries = 0; tries < max && fds.size() < max; tries++) {
    trouble = acceptTrouble(acceptSome(queue.socket.get(), max - fds.size(), fds));
    if (trouble != AcceptTrouble::ConnectionGone) break;
    counts_.connectionGone += 1;
  }
  if (trouble == AcceptTrouble::NoDescriptors) counts_.noDescriptors += 1;
  if (trouble == AcceptTrouble::NoMemory) counts_.noMemory += 1;
  if (trouble == AcceptTrouble::NoListener) counts_.noListener += 1;
  if (trouble == AcceptTrouble::NoDescriptors || trouble == AcceptTrouble::NoMemory) pause_.begin(nowMs_);
  std::vector<Connection> connections;
  for (Fd& fd : fds) connections.push_back(Connection{std::move(fd), queue.listener, nowMs_ + HOLD_MS});
  return connections;
}

void Rescuer::give(WorkerId worker, ListenerId listener, std::vector<Connection> connections) {
  if (!giver_.give(worker, listeners_[listener], std::move(connections), nowMs_)) rule_.removeTaker(worker);
}

void Rescuer::giveHeld() {
  for (ListenerId listener : giver_.heldListeners()) {
    for (WorkerId worker : rule_.takersOf(listener, giver_.free(nowMs_))) {
      std::vector<Connection> connections = giver_.takeHeld(listener, TAKE_MAX);
      if (connections.empty()) break;
      give(worker, listener, std::move(connections));
    }
  }
}

void Rescuer::close() {
  for (auto& [id, queue] : queues_) watches_.unwatch(queue.socket.get(), queueToken(id));
  queues_.clear();
  giver_.close();
}

}  // namespace covet
