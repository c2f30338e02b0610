// The copying thread's loop, its commands and its news; the turns are in log_copy_turn.cc; see log_copy_thread.h.
#include "addon/log_copy_thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <csignal>

#include "sys/clock.h"

namespace covet {

namespace {

constexpr int64_t NEWS_MS = 10;  // growth is told at most this often
constexpr int EVENTS_PER_WAIT = 128;

}  // namespace

Status LogCopyThread::start(Notify notify, void* context) {
  notify_ = notify;
  context_ = context;
  if (Status opened = pipes_.open(); !opened.ok()) return opened;
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return lastError("eventfd");
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return lastError("epoll_create1");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) < 0) return lastError("epoll_ctl");
  // libuv's, since pthread_create of a newer glibc would not be found by an older one.
  int code = uv_thread_create(&thread_, [](void* self) { static_cast<LogCopyThread*>(self)->run(); }, this);
  if (code < 0) return SysError{-code, "pthread_create"};
  isJoinable_ = true;
  return {};
}

void LogCopyThread::stop() { post(Stop{}); }

void LogCopyThread::join() {
  if (isJoinable_) uv_thread_join(&thread_);
  isJoinable_ = false;
}

void LogCopyThread::post(Command command) {
  {
    std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  uint64_t one = 1;
  // EAGAIN: the counter is at its end, so the thread is awake anyway.
  (void)!write(wake_.get(), &one, sizeof one);
}

LogNews LogCopyThread::takeNews() {
  std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

void LogCopyThread::run() {
  // Signals are for the threads of Node. sigprocmask is this thread's on Linux; SIGXFSZ becomes EFBIG of the write.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);

  while (!isStopping_) {
    wait();
    takeCommands();
    passDeadlines();
    for (size_t turns = ready_.size(); turns > 0 && !isStopping_; turns--) {
      auto found = sources_.find(ready_.front());
      ready_.pop_front();
      if (found != sources_.end()) takeTurn(found->second);
    }
    publish();
  }
  sources_.clear();
  streams_.clear();
  hasStopped_ = true;
  notify_(context_);
}

int64_t LogCopyThread::nextDeadlineMs() const {
  int64_t next = deadlines_.empty() ? INT64_MAX : deadlines_.begin()->first;
  for (int id : stalled_) next = std::min(next, streams_.at(id).retryAtMs);
  if (hasNews_) next = std::min(next, toldAtMs_ + NEWS_MS);
  return next;
}

int64_t LogCopyThread::readClock() { return nowMs_ = nowMs(); }

void LogCopyThread::wait() {
  int64_t deadline = ready_.empty() ? nextDeadlineMs() : 0;
  int timeout = deadline == INT64_MAX ? -1 : static_cast<int>(std::clamp<int64_t>(deadline - readClock(), 0, 60'000));
  epoll_event events[EVENTS_PER_WAIT];
  int count = epoll_wait(epoll_.get(), events, EVENTS_PER_WAIT, timeout);
  readClock();
  for (int i = 0; i < count; i++) {
    uint64_t value;
    if (events[i].data.u64 == 0) (void)!read(wake_.get(), &value, sizeof value);
    auto found = sources_.find(events[i].data.u64);
    if (found == sources_.end()) continue;
    if ((events[i].events & (EPOLLHUP | EPOLLERR)) != 0) found->second.isHungUp = true;
    enqueue(found->second);
  }
}

void LogCopyThread::takeCommands() {
  std::vector<Command> commands;
  {
    std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& command : commands) std::visit([this](auto& each) { carryOut(each); }, command);
}

void LogCopyThread::passDeadlines() {
  while (!deadlines_.empty() && deadlines_.begin()->first <= nowMs_) {
    Source& source = sources_.at(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    source.deadlineMs = 0;
    if (source.stream->lineHolder == source.key) releaseLine(*source.stream);
    enqueue(source);
  }
  std::set<int> stalled = std::exchange(stalled_, {});
  for (int id : stalled) {
    Stream& stream = streams_.at(id);
    if (stream.retryAtMs > nowMs_) {
      stalled_.insert(id);
    } else {
      stream.retryAtMs = 0;
      enqueueAll(stream);
    }
  }
}

void LogCopyThread::carryOut(OpenStream& command) {
  streams_.emplace(command.id, Stream{command.id, std::move(command.file), command.stallMs, 0, 0, 0, {}, {}, {}});
}

// What its pipes hold now is still written, unless writing fails; the rest stays in them for whoever else has their read ends.
void LogCopyThread::carryOut(CloseStream& command) {
  auto found = streams_.find(command.id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  for (uint64_t key : std::set<uint64_t>(stream.sources)) {
    Source& source = sources_.at(key);
    wantAll(source);
    Copied copied = Copied::Some;
    while (copied == Copied::Some && source.consumedBytes < source.flushUpToBytes) copied = copyChunk(source);
    removeSource(source);
  }
  settleFlushes(stream);
  stalled_.erase(stream.id);
  streams_.erase(found);
}

void LogCopyThread::carryOut(AddSource& command) {
  auto found = streams_.find(command.stream);
  if (found == streams_.end()) return;
  uint64_t key = ++lastKey_;
  Source& source = sources_[key];
  source.key = key;
  source.id = command.id;
  source.stream = &found->second;
  source.pipe = std::move(command.pipe);
  source.label = std::move(command.label);
  found->second.sources.insert(key);
  watch(source);
  enqueue(source);
}

void LogCopyThread::carryOut(Flush& command) {
  auto found = streams_.find(command.stream);
  PendingFlush flush{command.ticket, {}};
  if (found != streams_.end()) {
    for (uint64_t key : found->second.sources) {
      Source& source = sources_.at(key);
      wantAll(source);
      flush.upToBytes[key] = source.flushUpToBytes;
      enqueue(source);
    }
    found->second.flushes.push_back(std::move(flush));
    return settleFlushes(found->second);
  }
  std::lock_guard lock(mutex_);
  news_.flushed.push_back(command.ticket);
  hasNews_ = isUrgent_ = true;
}

void LogCopyThread::carryOut(Reopen&) {
  for (auto& [id, stream] : streams_) {
    stream.file.reopen();
    setTrouble(stream, LogAction::Open, stream.file.openError());
    sayGrown(stream);
  }
}

void LogCopyThread::carryOut(Stop&) { isStopping_ = true; }

void LogCopyThread::enqueue(Source& source) {
  if (source.isQueued) return;
  source.isQueued = true;
  ready_.push_back(source.key);
}

void LogCopyThread::enqueueAll(Stream& stream) {
  for (uint64_t key : stream.sources) enqueue(sources_.at(key));
}

// One reminder a source.
void LogCopyThread::remindAt(Source& source, int64_t atMs) {
  if (source.deadlineMs != 0) deadlines_.erase({source.deadlineMs, source.key});
  source.deadlineMs = atMs;
  deadlines_.emplace(atMs, source.key);
}

void LogCopyThread::removeSource(Source& source) {
  Stream& stream = *source.stream;
  if (source.deadlineMs != 0) deadlines_.erase({source.deadlineMs, source.key});
  stream.sources.erase(source.key);
  if (stream.lineHolder == source.key) releaseLine(stream);
  // The description has other holders: closing alone would leave it in the set (epoll(7), question 6).
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source.pipe.get(), nullptr);
  if (!source.isWatched) setTrouble(stream, LogAction::Watch, 0);  // another one that is not tells it again
  sources_.erase(source.key);
}

// ENOSPC: fs.epoll.max_user_watches; ENOMEM.
void LogCopyThread::watch(Source& source) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  event.data.u64 = source.key;
  source.isWatched = epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, source.pipe.get(), &event) == 0;
  setTrouble(*source.stream, LogAction::Watch, source.isWatched ? 0 : errno);
}

void LogCopyThread::sayGrown(Stream& stream) {
  std::lock_guard lock(mutex_);
  LogNews::Grown& grown = news_.grown[stream.id];
  grown.size = stream.file.size();
  grown.isRotated |= stream.file.takeRotated();
  hasNews_ = true;
}

void LogCopyThread::setTrouble(Stream& stream, LogAction action, int code) {
  int& told = stream.troubles[static_cast<size_t>(action)];
  if (told == code) return;
  told = code;
  std::lock_guard lock(mutex_);
  LogNews::Trouble& trouble = news_.troubles[{stream.id, action}];
  if (code != 0) trouble.code = code;
  trouble.isOver = code == 0;
  hasNews_ = true;
}

void LogCopyThread::sayDropped(Stream& stream, int code, int64_t bytes) {
  std::lock_guard lock(mutex_);
  LogNews::Dropped& dropped = news_.dropped[stream.id];
  dropped.code = code;
  dropped.bytes += bytes;
  hasNews_ = true;
}

void LogCopyThread::publish() {
  if (!hasNews_ || (!isUrgent_ && nowMs_ - toldAtMs_ < NEWS_MS)) return;
  hasNews_ = isUrgent_ = false;
  toldAtMs_ = nowMs_;
  notify_(context_);
}

}  // namespace covet
