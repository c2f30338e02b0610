// The copying loop; see log_copy_thread.h.
#include "addon/log_copy_thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "addon/log_lines.h"

namespace covet {

namespace {

constexpr int64_t PARTIAL_MS = 200;  // an open line waits this long for its newline
constexpr int64_t RETRY_MS = 100;    // after a write that failed
constexpr int64_t NEWS_MS = 10;      // growth is told at most this often
constexpr int CHUNKS_PER_TURN = 4;   // then the other sources have theirs
constexpr int EVENTS_PER_WAIT = 128;

int64_t nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000 + now.tv_nsec / 1'000'000;
}

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

void LogCopyThread::wait() {
  int64_t deadline = ready_.empty() ? nextDeadlineMs() : 0;
  int timeout = deadline == INT64_MAX ? -1 : static_cast<int>(std::clamp<int64_t>(deadline - nowMs(), 0, 60'000));
  epoll_event events[EVENTS_PER_WAIT];
  int count = epoll_wait(epoll_.get(), events, EVENTS_PER_WAIT, timeout);
  nowMs_ = nowMs();
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
  streams_.emplace(command.id, Stream{command.id, std::move(command.file), command.stallMs, 0, 0, 0, {}, {}});
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
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  event.data.u64 = key;
  // ENOSPC: fs.epoll.max_user_watches. The pipe stays unread and whoever holds its other read end may copy it.
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, command.pipe.get(), &event) < 0) return sayTrouble(command.stream, errno, 0);
  Source& source = sources_[key];
  source.key = key;
  source.id = command.id;
  source.stream = &found->second;
  source.pipe = std::move(command.pipe);
  found->second.sources.insert(key);
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
    Status opened = stream.file.reopen();
    if (opened.ok()) sayGrown(stream);
    else sayTrouble(id, opened.error().code, 0);
  }
}

void LogCopyThread::carryOut(Stop&) { isStopping_ = true; }

void LogCopyThread::takeTurn(Source& source) {
  source.isQueued = false;
  Stream& stream = *source.stream;
  nowMs_ = nowMs();
  Copied copied = Copied::Some;
  for (int i = 0; i < CHUNKS_PER_TURN && copied == Copied::Some; i++) copied = copyChunk(source);
  if (copied == Copied::Some) enqueue(source);
  if (copied == Copied::End) {
    {
      std::lock_guard lock(mutex_);
      news_.ended.emplace_back(stream.id, source.id);
    }
    hasNews_ = isUrgent_ = true;
    removeSource(source);
  }
  settleFlushes(stream);
}

LogCopyThread::Copied LogCopyThread::copyChunk(Source& source) {
  Stream& stream = *source.stream;
  if (stream.retryAtMs != 0) return Copied::Stalled;
  if (stream.lineHolder != 0 && stream.lineHolder != source.key && source.consumedBytes >= source.flushUpToBytes) return Copied::Held;

  Result<std::string_view> peeked = pipes_.peek(source.pipe.get());
  if (!peeked.ok()) {
    source.partialSinceMs = 0;
    // ENOMEM passes; nothing else is expected of a pipe.
    if (peeked.error().code != EAGAIN) remindAt(source, nowMs_ + RETRY_MS);
    return Copied::Nothing;
  }
  std::string_view text = *peeked;
  if (text.empty()) return Copied::End;

  bool isLong = wholeLines(text) == 0 && pipes_.mayBeFull(source.pipe.get(), text.size());
  Result<size_t> taken = stream.file.append(text, isLong || isForced(source), source.key);
  if (auto error = stream.file.takeRotationError()) sayTrouble(stream.id, error->code, 0);
  if (!taken.ok()) return onWriteFailed(source, text, taken.error());
  if (*taken == 0) {
    if (source.partialSinceMs == 0) source.partialSinceMs = nowMs_;
    remindAt(source, source.partialSinceMs + PARTIAL_MS);
    return Copied::Held;
  }
  std::string_view written = text.substr(0, *taken);
  stream.stalledSinceMs = 0;
  consume(source, written);
  counts_.bytes += static_cast<int64_t>(written.size());
  counts_.lines += static_cast<int64_t>(countLines(written));
  sayGrown(stream);
  settleLine(source, isLong);
  return Copied::Some;
}

bool LogCopyThread::isForced(const Source& source) const {
  if (source.isHungUp || source.consumedBytes < source.flushUpToBytes) return true;
  return source.partialSinceMs != 0 && nowMs_ - source.partialSinceMs >= PARTIAL_MS;
}

// Held back while there may be hope, so that a full disk that is cleared soon costs nothing; then given up, so that the writer, who waits
// for its pipe, runs on.
LogCopyThread::Copied LogCopyThread::onWriteFailed(Source& source, std::string_view text, const SysError& error) {
  Stream& stream = *source.stream;
  if (stream.stalledSinceMs == 0) {
    stream.stalledSinceMs = nowMs_;
    sayTrouble(stream.id, error.code, 0);
  }
  if (nowMs_ - stream.stalledSinceMs < stream.stallMs) {
    stream.retryAtMs = nowMs_ + RETRY_MS;
    stalled_.insert(stream.id);
    return Copied::Stalled;
  }
  size_t whole = wholeLines(text);
  std::string_view dropped = text.substr(0, whole > 0 ? whole : text.size());
  consume(source, dropped);
  counts_.droppedBytes += static_cast<int64_t>(dropped.size());
  sayTrouble(stream.id, error.code, static_cast<int64_t>(dropped.size()));
  return Copied::Some;
}

void LogCopyThread::consume(Source& source, std::string_view text) {
  pipes_.consume(source.pipe.get(), text.size());
  source.consumedBytes += text.size();
  source.partialSinceMs = 0;
}

void LogCopyThread::settleLine(Source& source, bool isLong) {
  Stream& stream = *source.stream;
  bool isHolder = stream.lineHolder == source.key;
  if ((isLong || isHolder) && stream.file.isInsideLine()) {
    stream.lineHolder = source.key;
    remindAt(source, nowMs_ + PARTIAL_MS);
  } else if (isHolder) {
    releaseLine(stream);
  }
}

void LogCopyThread::releaseLine(Stream& stream) {
  stream.lineHolder = 0;
  enqueueAll(stream);
}

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
  sources_.erase(source.key);
}

void LogCopyThread::wantAll(Source& source) { source.flushUpToBytes = source.consumedBytes + pipeUnread(source.pipe.get()); }

void LogCopyThread::settleFlushes(Stream& stream) {
  std::erase_if(stream.flushes, [&](PendingFlush& flush) {
    std::erase_if(flush.upToBytes, [&](const auto& part) {
      auto source = sources_.find(part.first);
      return source == sources_.end() || source->second.consumedBytes >= part.second;
    });
    if (!flush.upToBytes.empty()) return false;
    std::lock_guard lock(mutex_);
    news_.flushed.push_back(flush.ticket);
    hasNews_ = isUrgent_ = true;
    return true;
  });
}

void LogCopyThread::sayGrown(Stream& stream) {
  std::lock_guard lock(mutex_);
  LogNews::Grown& grown = news_.grown[stream.id];
  grown.size = stream.file.size();
  grown.isRotated |= stream.file.takeRotated();
  hasNews_ = true;
}

void LogCopyThread::sayTrouble(int stream, int code, int64_t droppedBytes) {
  std::lock_guard lock(mutex_);
  LogNews::Trouble& trouble = news_.trouble[stream];
  trouble.code = code;
  trouble.droppedBytes += droppedBytes;
  hasNews_ = true;
}

void LogCopyThread::publish() {
  if (!hasNews_ || (!isUrgent_ && nowMs_ - toldAtMs_ < NEWS_MS)) return;
  hasNews_ = isUrgent_ = false;
  toldAtMs_ = nowMs_;
  notify_(context_);
}

}  // namespace covet
