// One source's turn: what is copied, held back, stalled or given up; see log_copy_thread.h.
#include "addon/log_copy_thread.h"
#include "addon/log_lines.h"

namespace covet {

namespace {

constexpr int64_t PARTIAL_MS = 200;  // an open line waits this long for its newline
constexpr int64_t RETRY_MS = 100;    // after a write that failed, and what epoll does not tell
constexpr int CHUNKS_PER_TURN = 4;   // then the other sources have theirs

}  // namespace

void LogCopyThread::takeTurn(Source& source) {
  source.isQueued = false;
  Stream& stream = *source.stream;
  readClock();
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

  if (Status rest = stream.file.writeRest(); !rest.ok()) return onWriteFailed(source, {}, rest.error());

  Result<std::string_view> peeked = pipes_.peek(source.pipe.get());
  if (!peeked.ok()) {
    source.partialSinceMs = 0;
    if (!source.isWatched) watch(source);
    // ENOMEM passes; nothing else is expected of a pipe.
    if (peeked.error().code != EAGAIN || !source.isWatched) remindAt(source, nowMs_ + RETRY_MS);
    return Copied::Nothing;
  }
  std::string_view text = *peeked;
  if (text.empty()) return Copied::End;

  stream.file.look(nowMs_);
  bool isLong = wholeLines(text) == 0 && pipes_.mayBeFull(source.pipe.get(), text.size());
  Result<size_t> taken = stream.file.append(text, isLong || isForced(source), source.key, source.label);
  setTrouble(stream, LogAction::Open, stream.file.openError());
  setTrouble(stream, LogAction::Rotate, stream.file.rotateError());
  if (!taken.ok()) return onWriteFailed(source, text, taken.error());
  if (*taken == 0) {
    if (source.partialSinceMs == 0) source.partialSinceMs = nowMs_;
    remindAt(source, source.partialSinceMs + PARTIAL_MS);
    return Copied::Held;
  }
  std::string_view written = text.substr(0, *taken);
  stream.stalledSinceMs = 0;
  setTrouble(stream, LogAction::Write, 0);
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
  if (stream.stalledSinceMs == 0) stream.stalledSinceMs = nowMs_;
  // That a FIFO is full is no trouble while nothing is lost.
  if (error.code != EAGAIN) setTrouble(stream, LogAction::Write, error.code);
  if (nowMs_ - stream.stalledSinceMs < stream.stallMs) {
    stream.retryAtMs = nowMs_ + RETRY_MS;
    stalled_.insert(stream.id);
    return Copied::Stalled;
  }
  size_t whole = wholeLines(text);
  std::string_view dropped = text.substr(0, whole > 0 ? whole : text.size());
  consume(source, dropped);
  int64_t droppedBytes = static_cast<int64_t>(dropped.size() + stream.file.dropRest());
  counts_.droppedBytes += droppedBytes;
  setTrouble(stream, LogAction::Write, error.code);
  sayDropped(stream, error.code, droppedBytes);
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

}  // namespace covet
