// Writing and reading a state; see state.h.
#include "init/state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

namespace covet {

namespace {

constexpr off_t STATE_BYTES_MAX = 64 << 20;
constexpr int FDS_MAX = 8;  // of one line

bool takeFds(const Message& message, std::vector<int>& into) {
  std::string text = message.text("fds");
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    int fd;
    auto [next, problem] = std::from_chars(at, end, fd);
    if (problem != std::errc() || fd < 0 || into.size() == FDS_MAX || fcntl(fd, F_GETFD) < 0) return false;
    into.push_back(fd);
    if (next < end && *next != ',') return false;
    at = next + 1;
  }
  return true;
}

Result<std::string> readAll(int fd) {
  struct stat file;
  if (fstat(fd, &file) < 0) return lastError("fstat");
  if (file.st_size > STATE_BYTES_MAX) return SysError{EFBIG, "state"};
  std::string text(static_cast<size_t>(file.st_size), '\0');
  size_t have = 0;
  while (have < text.size()) {
    ssize_t size = pread(fd, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return lastError("pread");
    have += static_cast<size_t>(size);
  }
  return text;
}

}  // namespace

void StateWriter::send(std::string text, std::initializer_list<int> fds) {
  text_ += text;
  const char* separator = " fds=";
  for (int fd : fds) {
    text_ += separator + std::to_string(fd);
    separator = ",";
    fds_.push_back(fd);
  }
  text_ += '\n';
}

Result<Fd> StateWriter::seal() const {
  Fd file(memfd_create("covet-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return lastError("memfd_create");
  size_t have = 0;
  while (have < text_.size()) {
    ssize_t size = write(file.get(), text_.data() + have, text_.size() - have);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return lastError("write");
    have += static_cast<size_t>(size);
  }
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) return lastError("fcntl");
  return file;
}

Result<std::vector<StateLine>> readState(int fd) {
  Result<std::string> text = readAll(fd);
  if (!text.ok()) return text.error();
  std::vector<StateLine> lines;
  for (size_t at = 0; at < text->size();) {
    size_t end = text->find('\n', at);
    if (end == std::string::npos) return SysError{EINVAL, "state"};
    StateLine line;
    if (!decode(std::string_view(*text).substr(at, end - at), line.message) || !takeFds(line.message, line.fds)) return SysError{EINVAL, "state"};
    lines.push_back(std::move(line));
    at = end + 1;
  }
  // A state begins with what covet-init itself is: a file of something else does not.
  if (lines.empty() || lines.front().message.verb != "init") return SysError{EINVAL, "state"};
  return lines;
}

bool stateHasLock(int fd) {
  Result<std::vector<StateLine>> lines = readState(fd);
  return lines.ok() && lines->front().fds.size() == 3;
}

}  // namespace covet
