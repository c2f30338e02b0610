// Giving connections; see giver.h.
#include "acceptor/giver.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "acceptor/hand_over.h"
#include "sys/packet.h"

namespace covet {

namespace {

constexpr int ANSWERS_PER_TURN = 64;  // a worker that chatters does not keep the thread from the others

}  // namespace

void Giver::add(WorkerId worker, Fd pair, int64_t nowMs) {
  remove(worker);
  Taker& taker = takers_[worker];
  taker.pair = std::move(pair);
  watch(worker, taker, nowMs);
}

void Giver::remove(WorkerId worker) {
  auto found = takers_.find(worker);
  if (found == takers_.end()) return;
  watches_.unwatch(found->second.pair.get(), workerToken(worker));
  for (Batch& batch : found->second.batches) giveBack(std::move(batch));
  takers_.erase(found);
}

std::set<WorkerId> Giver::free(int64_t nowMs) const {
  std::set<WorkerId> free;
  for (const auto& [worker, taker] : takers_) {
    if (taker.batches.empty() && taker.pausedUntilMs <= nowMs) free.insert(worker);
  }
  return free;
}

bool Giver::give(WorkerId worker, std::string_view key, std::vector<Connection> connections, int64_t nowMs) {
  auto found = takers_.find(worker);
  if (found == takers_.end()) {
    hold(std::move(connections));
    return true;
  }
  Taker& taker = found->second;
  taker.batches.push_back(Batch{handOverPacket(key), std::move(connections)});
  if (!flush(taker, nowMs)) {
    remove(worker);
    return false;
  }
  if (!taker.batches.empty() && !taker.batches.back().isSent) watch(worker, taker, nowMs);
  return true;
}

// False when nothing can be sent to it any more.
bool Giver::flush(Taker& taker, int64_t nowMs) {
  for (Batch& batch : taker.batches) {
    if (batch.isSent) continue;
    std::vector<int> fds;
    for (const Connection& connection : batch.connections) fds.push_back(connection.fd.get());
    Status sent = sendPacket(taker.pair.get(), batch.packet, fds);
    batch.isSent = sent.ok();
    if (sent.ok()) continue;
    if (sent.error().code == EAGAIN) return true;
    if (sent.error().code != ETOOMANYREFS && sent.error().code != ENOBUFS && sent.error().code != ENOMEM) return false;
    // Descriptors on their way are limited too: this worker later, or another one before.
    taker.pausedUntilMs = nowMs + REFUSED_PAUSE_MS;
    while (!taker.batches.empty() && !taker.batches.back().isSent) {
      giveBack(std::move(taker.batches.back()));
      taker.batches.pop_back();
    }
    return true;
  }
  return true;
}

bool Giver::onReady(WorkerId worker, int64_t nowMs) {
  auto found = takers_.find(worker);
  if (found == takers_.end()) return true;
  if (!readAnswers(found->second, nowMs) || !flush(found->second, nowMs)) {
    remove(worker);
    return false;
  }
  watch(worker, found->second, nowMs);
  return true;
}

bool Giver::readAnswers(Taker& taker, int64_t nowMs) {
  for (int i = 0; i < ANSWERS_PER_TURN; i++) {
    Result<Packet> packet = receivePacket(taker.pair.get());
    // A worker that died with packets of ours unread says so before what it had answered.
    if (!packet.ok() && packet.error().code == ECONNRESET) continue;
    if (!packet.ok()) return packet.error().code == EAGAIN;
    if (packet->isEnd || !onAnswer(taker, packet->text, nowMs)) return false;
  }
  return true;
}

bool Giver::onAnswer(Taker& taker, std::string_view text, int64_t nowMs) {
  std::optional<HandOverAnswer> answer = readHandOverAnswer(text);
  if (!answer || taker.batches.empty() || !taker.batches.front().isSent) return false;
  if (answer->count != taker.batches.front().connections.size()) return false;
  Batch batch = std::move(taker.batches.front());
  taker.batches.pop_front();
  if (answer->isTaken) {
    counts_.handed += batch.connections.size();
  } else {
    taker.pausedUntilMs = nowMs + REFUSED_PAUSE_MS;
    giveBack(std::move(batch));
  }
  return true;
}

void Giver::watch(WorkerId worker, Taker& taker, int64_t nowMs) {
  bool isWaiting = !taker.batches.empty() && !taker.batches.back().isSent;
  watches_.watch(taker.pair.get(), workerToken(worker), isWaiting ? POLLIN | POLLOUT : POLLIN, nowMs);
}

void Giver::giveBack(Batch batch) {
  counts_.refused += batch.connections.size();
  hold(std::move(batch.connections));
}

std::set<ListenerId> Giver::heldListeners() const {
  std::set<ListenerId> listeners;
  for (const Connection& connection : held_) listeners.insert(connection.listener);
  return listeners;
}

std::vector<Connection> Giver::takeHeld(ListenerId listener, size_t max) {
  std::vector<Connection> taken;
  for (auto each = held_.begin(); each != held_.end() && taken.size() < max;) {
    if (each->listener != listener) {
      ++each;
      continue;
    }
    taken.push_back(std::move(*each));
    each = held_.erase(each);
  }
  counts_.held.set(held_.size());
  return taken;
}

void Giver::hold(std::vector<Connection> connections) {
  std::move(connections.begin(), connections.end(), std::back_inserter(held_));
  counts_.held.set(held_.size());
}

void Giver::expire(int64_t nowMs) {
  if (held_.empty()) return;
  std::erase_if(held_, [&](Connection& connection) {
    if (connection.untilMs > nowMs) return false;
    reset(connection);
    return true;
  });
  counts_.held.set(held_.size());
}

// Its client is to know at once that this failed: RST, and not a FIN as if it had been served.
void Giver::reset(Connection& connection) {
  linger now{1, 0};
  setsockopt(connection.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  connection.fd.reset();
  counts_.reset += 1;
}

int64_t Giver::nextDeadlineMs(int64_t nowMs) const {
  int64_t next = NEVER_MS;
  for (const Connection& connection : held_) next = std::min(next, connection.untilMs);
  if (held_.empty()) return next;
  for (const auto& [worker, taker] : takers_) {
    if (taker.pausedUntilMs > nowMs && taker.batches.empty()) next = std::min(next, taker.pausedUntilMs);
  }
  return next;
}

void Giver::close() {
  for (auto& [worker, taker] : takers_) watches_.unwatch(taker.pair.get(), workerToken(worker));
  takers_.clear();
  for (Connection& connection : held_) reset(connection);
  held_.clear();
  counts_.held.set(0);
}

}  // namespace covet
