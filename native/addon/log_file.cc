// Appending and rotating; see log_file.h.
#include "addon/log_file.h"

#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "addon/log_lines.h"

namespace covet {

namespace {

constexpr int64_t LOOK_MS = 1'000;  // between two looks at the name

// Never waits for a FIFO's reader, nor makes a terminal ours; on a file O_NONBLOCK does nothing.
Fd openAppending(const std::string& path) {
  int fd;
  do fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  while (fd < 0 && errno == EINTR);
  return Fd(fd);
}

// Whoever wrote before us may have been killed inside a line. Ours is open for writing only; if it may not be read, no is the answer.
bool endsInsideLine(const std::string& path, int64_t size) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  char last = '\n';
  return file && pread(file.get(), &last, 1, size - 1) == 1 && last != '\n';
}

}  // namespace

Result<LogFile> LogFile::open(std::string path, LogFileOptions options) {
  LogFile file(std::move(path), options);
  if (Status opened = file.openByName(); !opened.ok()) return opened.error();
  return file;
}

Status LogFile::openByName() {
  Fd fd = openAppending(path_);
  if (!fd) return lastError("open");
  fd_ = std::move(fd);
  isSeekable_ = lseek(fd_.get(), 0, SEEK_END) >= 0;
  size_ = 0;
  isDeletable_ = true;
  isDeleted_ = false;
  measure();
  isDeletable_ = isSeekable_ && !isDeleted_;
  openLineBytes_ = size_ > 0 && endsInsideLine(path_, size_) ? LINE_BYTES_MAX : 0;
  lastWriter_ = 0;
  rotateAtBytes_ = options_.maxBytes;
  return {};
}

// Asked of the kernel each time: an outside `> file` or logrotate's copytruncate shortens it without a word.
// statx: fstat is a symbol of its own only from glibc 2.33 on.
void LogFile::measure() {
  struct statx file;
  if (!isSeekable_ || statx(fd_.get(), "", AT_EMPTY_PATH, STATX_SIZE | STATX_NLINK, &file) < 0) return;
  size_ = static_cast<int64_t>(file.stx_size);
  isDeleted_ = isDeletable_ && file.stx_nlink == 0;
}

Status LogFile::reopen() { return openByName(); }

Status LogFile::followName(int64_t nowMs) {
  if (!isDeletable_ || nowMs - lookedAtMs_ < LOOK_MS) return {};
  lookedAtMs_ = nowMs;
  if (access(path_.c_str(), F_OK) == 0 || errno != ENOENT) return {};
  return openByName();
}

bool LogFile::takeRotated() { return std::exchange(isRotated_, false); }

std::optional<SysError> LogFile::takeRotationError() { return std::exchange(rotationError_, std::nullopt); }

Status LogFile::writeRest() {
  if (rest_.empty()) return {};
  std::string rest = std::exchange(rest_, {});
  Status written = write({}, rest);
  if (!written.ok()) rest_ = std::move(rest);
  else if (!rest_.empty()) return SysError{EAGAIN, "write"};
  return written;
}

size_t LogFile::dropRest() { return std::exchange(rest_, {}).size(); }

Result<size_t> LogFile::append(std::string_view text, bool isForced, uint64_t writer, std::string_view label) {
  size_t extra = (options_.timestamps ? STAMP_BYTES : 0) + label.size();
  size_t taken = portion(text, isForced, extra);
  if (taken == 0) return taken;
  std::string_view part = text.substr(0, taken);

  bool isCut = openLineBytes_ > 0 && writer != lastWriter_;
  std::string_view body = part;
  if (extra > 0) {
    std::string stamp = options_.timestamps ? stampNow() : std::string();
    stamped_.clear();
    stampLines(stamped_, part, stamp.append(label), isCut || openLineBytes_ == 0);
    body = stamped_;
  }
  Status written = writeWhereFound(isCut ? "\n" : "", body);
  if (!written.ok()) return written.error();

  size_t open = part.size() - wholeLines(part);
  openLineBytes_ = open < part.size() || isCut ? open : openLineBytes_ + open;
  lastWriter_ = writer;
  return taken;
}

// How much of `text` goes into the file now; begins a new file when not even the first line fits.
size_t LogFile::portion(std::string_view text, bool isForced, size_t extra) {
  size_t whole = wholeLines(text);
  std::string_view part = text.substr(0, whole > 0 || !isForced ? whole : text.size());
  if (options_.maxBytes == 0 || !isSeekable_ || part.empty()) return part.size();

  auto fitting = [&] { return size_ < rotateAtBytes_ ? linesWithin(part, static_cast<size_t>(rotateAtBytes_ - size_), extra) : 0; };
  size_t fits = fitting();
  if (fits == 0 && !isInsideLine() && size_ > 0) {
    if (Status rotated = rotate(); !rotated.ok()) {
      rotationError_ = rotated.error();
      rotateAtBytes_ = size_ + options_.maxBytes;
    }
    fits = fitting();
  }
  // A line longer than a file, or the rest of one that is open.
  return fits > 0 ? fits : part.find('\n') == std::string_view::npos ? part.size() : part.find('\n') + 1;
}

Status LogFile::rotate() {
  auto name = [&](int number) { return path_ + "." + std::to_string(number); };
  for (int number = options_.files - 1; number >= 1; number--) {
    if (rename(name(number).c_str(), name(number + 1).c_str()) < 0 && errno != ENOENT) return lastError("rename");
  }
  if (options_.files == 0) {
    if (unlink(path_.c_str()) < 0 && errno != ENOENT) return lastError("unlink");
  } else if (rename(path_.c_str(), name(1).c_str()) < 0 && errno != ENOENT) {
    return lastError("rename");
  }
  Status opened = openByName();
  if (opened.ok()) isRotated_ = true;
  // We still hold the old file: let it have its name back.
  else if (options_.files > 0) (void)rename(name(1).c_str(), path_.c_str());
  return opened;
}

// A file that was deleted is known by the write that nobody will read: it is made again in a new file of that name.
Status LogFile::writeWhereFound(std::string_view lead, std::string_view body) {
  int64_t before = size_;
  Status written = write(lead, body);
  if (!written.ok() || !isDeleted_) return written;
  if (Status opened = openByName(); !opened.ok()) {
    (void)!ftruncate(fd_.get(), before);  // so that what is tried again does not fill the disk unseen
    size_ = before;
    return opened;
  }
  return write("", body);
}

Status LogFile::write(std::string_view lead, std::string_view body) {
  int64_t before = size_;
  while (!lead.empty() || !body.empty()) {
    iovec parts[] = {{const_cast<char*>(lead.data()), lead.size()}, {const_cast<char*>(body.data()), body.size()}};
    ssize_t size = writev(fd_.get(), parts, 2);
    if (size < 0) {
      if (errno == EINTR) continue;
      SysError error = lastError("write");
      bool isPart = size_ != before;
      if (!isPart) return error;
      if (isSeekable_) {
        if (ftruncate(fd_.get(), before) == 0) size_ = before;
        return error;
      }
      rest_.append(lead).append(body);
      return {};
    }
    size_t fromLead = std::min(static_cast<size_t>(size), lead.size());
    lead.remove_prefix(fromLead);
    body.remove_prefix(static_cast<size_t>(size) - fromLead);
    size_ += size;
  }
  measure();
  return {};
}

}  // namespace covet
