// Writing and reading a state; see state.h.
#include "init/state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace covet {

namespace {

constexpr off_t STATE_BYTES_MAX = 64 << 20;
constexpr int FDS_MAX = 8;  // of one line

// `fds=31,32` in a state that goes from process to process, `names=…` in one that a service manager keeps.
Status takeFds(const Message& message, const FdOfName& fdOfName, std::vector<int>& into) {
  const std::string* names = message.find("names");
  std::string list = names == nullptr ? message.text("fds") : *names;
  for (std::string_view rest = list; !rest.empty();) {
    std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    int fd = -1;
    if (names != nullptr) {
      fd = fdOfName(name);
    } else {
      auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), fd);
      if (problem != std::errc() || end != name.data() + name.size()) return SysError{EINVAL, "state"};
    }
    if (into.size() == FDS_MAX) return SysError{EINVAL, "state"};
    if (fd < 0 || fcntl(fd, F_GETFD) < 0) return SysError{ENOENT, "state"};
    into.push_back(fd);
  }
  return {};
}

}  // namespace

Result<std::string> readWhole(int fd) {
  struct stat file;
  if (fstat(fd, &file) < 0) return lastError("fstat");
  if (file.st_size > STATE_BYTES_MAX) return SysError{EFBIG, "state"};
  std::string text(static_cast<size_t>(file.st_size), '\0');
  size_t have = 0;
  while (have < text.size()) {
    ssize_t size = pread(fd, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return lastError("pread");
    if (size == 0) return SysError{EIO, "pread"};
    have += static_cast<size_t>(size);
  }
  return text;
}

std::string StateWriter::text() const {
  std::string all;
  for (const StateEntry& entry : entries_) {
    all += entry.text;
    const char* separator = " fds=";
    for (int fd : entry.fds) {
      all += separator + std::to_string(fd);
      separator = ",";
    }
    all += '\n';
  }
  return all;
}

std::vector<int> StateWriter::fds() const {
  std::vector<int> all;
  for (const StateEntry& entry : entries_) all.insert(all.end(), entry.fds.begin(), entry.fds.end());
  return all;
}

Result<Fd> StateWriter::seal() const {
  Fd file(memfd_create("covet-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return lastError("memfd_create");
  std::string all = text();
  size_t have = 0;
  while (have < all.size()) {
    ssize_t size = write(file.get(), all.data() + have, all.size() - have);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return lastError("write");
    have += static_cast<size_t>(size);
  }
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) return lastError("fcntl");
  return file;
}

Result<std::vector<StateLine>> parseState(std::string_view text, const FdOfName& fdOfName) {
  std::vector<StateLine> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return SysError{EINVAL, "state"};
    StateLine line;
    if (!decode(text.substr(at, end - at), line.message)) return SysError{EINVAL, "state"};
    if (Status taken = takeFds(line.message, fdOfName, line.fds); !taken.ok()) return taken.error();
    lines.push_back(std::move(line));
    at = end + 1;
  }
  // A state begins with what covet-init itself is: a file of something else does not.
  if (lines.empty() || lines.front().message.verb != "init") return SysError{EINVAL, "state"};
  return lines;
}

Result<std::vector<StateLine>> readState(int fd) {
  Result<std::string> text = readWhole(fd);
  if (!text.ok()) return text.error();
  return parseState(*text, [](std::string_view) { return -1; });
}

bool stateHasLock(int fd) {
  Result<std::vector<StateLine>> lines = readState(fd);
  return lines.ok() && lines->front().fds.size() == 3;
}

}  // namespace covet
