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
  openError_ = fd ? 0 : errno;
  if (!fd) return SysError{openError_, "open"};
  take(std::move(fd));
  return {};
}

// The file that has the name now.
void LogFile::take(Fd fd) {
  fd_ = std::move(fd);
  isSeekable_ = lseek(fd_.get(), 0, SEEK_END) >= 0;
  size_ = 0;
  isDeletable_ = true;
  isDeleted_ = false;
  measure();
  isDeletable_ = isSeekable_ && !isDeleted_;
  openLineBytes_ = size_ > 0 && endsInsideLine(path_, size_) ? LINE_BYTES_MAX : 0;
  lastWriter_ = 0;
  isRotationDue_ = true;
}

// Asked of the kernel each time: an outside `> file` or logrotate's copytruncate shortens it without a word.
// statx: fstat is a symbol of its own only from glibc 2.33 on.
void LogFile::measure() {
  struct statx file;
  if (!isSeekable_ || statx(fd_.get(), "", AT_EMPTY_PATH, STATX_SIZE | STATX_NLINK, &file) < 0) return;
  size_ = static_cast<int64_t>(file.stx_size);
  isDeleted_ = isDeletable_ && file.stx_nlink == 0;
}

void LogFile::reopen() { (void)openByName(); }

void LogFile::look(int64_t nowMs) {
  if (!isDeletable_ || nowMs - lookedAtMs_ < LOOK_MS) return;
  lookedAtMs_ = nowMs;
  isRotationDue_ = true;
  bool isNamed = access(path_.c_str(), F_OK) == 0 || errno != ENOENT;
  if (!isNamed || openError_ != 0) (void)openByName();
}

bool LogFile::takeRotated() { return std::exchange(isRotated_, false); }

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

  auto fitting = [&] { return size_ < options_.maxBytes ? linesWithin(part, static_cast<size_t>(options_.maxBytes - size_), extra) : 0; };
  size_t fits = fitting();
  if (fits == 0 && !isInsideLine() && size_ > 0 && isRotationDue_) {
    Status rotated = rotate();
    rotateError_ = rotated.ok() ? 0 : rotated.error().code;
    isRotationDue_ = rotated.ok();
    fits = fitting();
  }
  if (fits == 0 && !isRotationDue_) return part.size();
  // A line longer than a file, or the rest of one that is open.
  return fits > 0 ? fits : part.find('\n') == std::string_view::npos ? part.size() : part.find('\n') + 1;
}

// The new file is there before any is moved: where there is no room for it all stay as they are.
Status LogFile::rotate() {
  std::string fresh = path_ + ".new";
  Fd file = openAppending(fresh);
  if (!file) return lastError("open");
  Status moved = shift();
  if (moved.ok() && rename(fresh.c_str(), path_.c_str()) < 0) moved = lastError("rename");
  if (!moved.ok()) {
    (void)unlink(fresh.c_str());
    return moved;
  }
  take(std::move(file));
  isRotated_ = true;
  return {};
}

// Each one number on, as far as the first that is free: what a rotation that failed has moved is not moved again by the next.
Status LogFile::shift() {
  if (options_.files == 0) return {};  // the new one takes its place
  auto name = [&](int number) { return number == 0 ? path_ : path_ + "." + std::to_string(number); };
  int free = 1;
  while (free < options_.files && access(name(free).c_str(), F_OK) == 0) free++;
  for (int number = free - 1; number >= 0; number--) {
    if (rename(name(number).c_str(), name(number + 1).c_str()) < 0 && errno != ENOENT) return lastError("rename");
  }
  return {};
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
