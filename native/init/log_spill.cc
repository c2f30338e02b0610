// Pipes into files; see log_spill.h.
#include "init/log_spill.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "init/say.h"

namespace covet {

namespace {

constexpr int RAISED_BYTES = 1'048'576;   // what a worker may write while it is not its turn
constexpr int PLAIN_BYTES = 65'536;       // as pipe(2) makes it
constexpr int64_t RETRY_MS = 100;         // after a write that failed, or for a worker that writes faster than its share
constexpr int CHUNKS_PER_TURN = 4;
constexpr size_t PIPE_PAGES_SOFT = 16'384;  // the kernel's default

// Pages that an unprivileged user's pipes may hold in all, raised ones included; 0: as many as they like. pipe(7).
size_t pipePagesSoft() {
  Fd file(open("/proc/sys/fs/pipe-user-pages-soft", O_RDONLY | O_CLOEXEC));
  char text[32] = {};
  if (!file || read(file.get(), text, sizeof text - 1) <= 0) return PIPE_PAGES_SOFT;
  return strtoul(text, nullptr, 10);
}

// How much of `text` may be written: whole lines, or all of it when none will ever be.
size_t writable(std::string_view text, bool isLast) {
  size_t newline = text.rfind('\n');
  if (newline != std::string_view::npos) return newline + 1;
  return isLast ? text.size() : 0;
}

}  // namespace

void LogSpill::begin() {
  if (isOn_) return;
  auto pipes = std::make_unique<PipePeek>();
  if (Status opened = pipes->open(); !opened.ok()) {
    say("Cannot write the workers' logs while there is no supervisor: %s (%s); they wait for the next one.", opened.error().text(),
        opened.error().name());
    return;
  }
  pipes_ = std::move(pipes);
  isOn_ = true;
}

void LogSpill::add(int pipe, const std::string& path) {
  if (!isOn_ || path.empty()) return;
  auto source = std::make_unique<Source>(*this, pipe, path);
  // Edges: a line without its end must not be looked at again and again.
  if (Status watched = loop_.watch(pipe, EPOLLIN | EPOLLET, *source); !watched.ok()) isUnwatched_ = true;
  sources_.push_back(std::move(source));
  raise(pipe);
  if (isUnwatched_) remind(RETRY_MS);
}

void LogSpill::end() {
  for (const auto& source : sources_) {
    loop_.unwatch(source->pipe);
    (void)fcntl(source->pipe, F_SETPIPE_SZ, PLAIN_BYTES);  // EBUSY: it holds more; then it stays as it is
  }
  sources_.clear();
  files_.clear();
  pipes_.reset();
  raisedBytes_ = 0;
  dueMs_ = -1;
  isUnwatched_ = false;
  isOn_ = false;
}

void LogSpill::expire(int64_t atMs) {
  if (dueMs_ < 0 || dueMs_ > atMs) return;
  dueMs_ = -1;
  for (const auto& source : sources_) copy(*source, false);
  if (isUnwatched_) remind(RETRY_MS);
}

void LogSpill::copy(Source& source, bool isHungUp) {
  for (int i = 0; i < CHUNKS_PER_TURN; i++) {
    if (!copyOnce(source, isHungUp)) return;
  }
  remind(0);  // the others have their turn first
}

// False when there is nothing more to write now.
bool LogSpill::copyOnce(Source& source, bool isHungUp) {
  Result<std::string_view> peeked = pipes_->peek(source.pipe);
  if (!peeked.ok()) {
    if (peeked.error().code != EAGAIN) remind(RETRY_MS);
    return false;
  }
  size_t size = writable(*peeked, isHungUp || pipes_->mayBeFull(source.pipe, peeked->size()));
  if (size == 0) return false;
  int file = fileOf(source.path);
  ssize_t written = file < 0 ? -1 : write(file, peeked->data(), size);
  if (written > 0) pipes_->consume(source.pipe, static_cast<size_t>(written));
  if (written == static_cast<ssize_t>(size)) return true;
  remind(RETRY_MS);
  return false;
}

void LogSpill::remind(int64_t inMs) {
  int64_t atMs = nowMs() + inMs;
  if (dueMs_ < 0 || atMs < dueMs_) dueMs_ = atMs;
}

// −1 when it cannot be opened: tried again with the next write. One descriptor for each path, for an app's workers share one.
int LogSpill::fileOf(const std::string& path) {
  Fd& file = files_[path];
  if (!file) file.reset(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
  return file.get();
}

void LogSpill::raise(int pipe) {
  size_t pages = pipePagesSoft();
  if (pages > 0 && raisedBytes_ + RAISED_BYTES > pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / 4) return;
  if (fcntl(pipe, F_SETPIPE_SZ, RAISED_BYTES) >= 0) raisedBytes_ += RAISED_BYTES;
}

}  // namespace covet
