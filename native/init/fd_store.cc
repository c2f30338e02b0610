// Saving and taking back; see fd_store.h.
#include "init/fd_store.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "init/say.h"

namespace covet {

namespace {

constexpr std::string_view PREFIX = "covet.";
constexpr std::array<const char*, 2> PAGE_NAMES = {"covet.state.0", "covet.state.1"};
constexpr size_t NAME_KEY_MAX = 128;  // of 255 that a name may have

// FNV-1a: against a text that was written in part, not against a forger.
uint64_t checksum(std::string_view text) {
  uint64_t sum = 14695981039346656037ULL;
  for (unsigned char c : text) sum = (sum ^ c) * 1099511628211ULL;
  return sum;
}

ino_t inodeOf(int fd) {
  struct stat file;
  return fstat(fd, &file) == 0 ? file.st_ino : 0;
}

struct Page {
  uint64_t sequence = 0;
  std::string text;
};

// `state 12 check=1234` and the text it is of. Sequence 0: not whole.
Page readPage(int fd) {
  Result<std::string> all = readWhole(fd);
  if (!all.ok()) return {};
  size_t end = all->find('\n');
  Message head;
  if (end == std::string::npos || !decode(std::string_view(*all).substr(0, end), head) || head.verb != "state") return {};
  std::string text = all->substr(end + 1);
  if (head.text("check") != std::to_string(checksum(text))) return {};
  return {head.id, std::move(text)};
}

}  // namespace

Result<std::vector<StateLine>> FdStore::take(std::vector<NamedFd>& given) {
  std::map<std::string, int> byName;
  Page newest;
  for (NamedFd& entry : given) {
    if (!entry.name.starts_with(PREFIX)) continue;
    auto page = std::find(PAGE_NAMES.begin(), PAGE_NAMES.end(), entry.name);
    if (page == PAGE_NAMES.end()) {
      byName.emplace(entry.name, entry.fd.get());
      continue;
    }
    Page read = readPage(entry.fd.get());
    if (read.sequence > newest.sequence) newest = std::move(read);
    pages_[static_cast<size_t>(page - PAGE_NAMES.begin())] = std::move(entry.fd);
  }
  if (newest.sequence == 0) {
    if (byName.empty() && !pages_[0] && !pages_[1]) return std::vector<StateLine>();
    return SysError{EINVAL, "state"};
  }
  sequence_ = newest.sequence;
  Result<std::vector<StateLine>> lines = parseState(newest.text, [&](std::string_view name) {
    auto found = byName.find(std::string(name));
    return found == byName.end() ? -1 : found->second;
  });
  if (!lines.ok()) return lines;
  // From here on they are the lines' own; what no line names was let go of while it was being told.
  std::set<int> named;
  for (const StateLine& line : *lines) named.insert(line.fds.begin(), line.fds.end());
  for (NamedFd& entry : given) {
    if (!entry.name.starts_with(PREFIX)) continue;
    if (!named.contains(entry.fd.get())) {
      if (entry.fd) service_.letGo(entry.name);
      continue;
    }
    uint64_t serial = 0;
    std::string_view digits = std::string_view(entry.name).substr(entry.name.rfind('.') + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), serial);
    serial_ = std::max(serial_, serial);
    kept_[entry.fd.get()] = {entry.name, inodeOf(entry.fd.get())};
    (void)entry.fd.release();
  }
  std::erase_if(given, [](const NamedFd& entry) { return entry.name.starts_with(PREFIX); });
  return lines;
}

void FdStore::tell(StateWriter& to) const {
  if (!service_.isOn()) return;
  to.send(Writer("store", sequence_).add("serial", static_cast<int64_t>(serial_)).take());
  for (const auto& [fd, kept] : kept_) to.send(Writer("kept", 0).add("name", kept.name).take(), {fd});
  for (size_t i = 0; i < pages_.size(); i++) {
    if (pages_[i]) to.send(Writer("page", 0).add("index", static_cast<int64_t>(i)).take(), {pages_[i].get()});
  }
}

bool FdStore::restore(const Message& told, const std::vector<int>& fds) {
  if (told.verb == "store") {
    sequence_ = told.id;
    serial_ = static_cast<uint64_t>(told.number("serial", 0, INT64_MAX).value_or(0));
  } else if (told.verb == "kept" && fds.size() == 1) {
    kept_[fds[0]] = {told.text("name"), inodeOf(fds[0])};
  } else if (told.verb == "page" && fds.size() == 1) {
    auto index = told.number("index", 0, 1);
    if (index) pages_[static_cast<size_t>(*index)].reset(fds[0]);
    return index.has_value();
  }
  return false;
}

void FdStore::letGo(Fd fd) {
  auto found = kept_.find(fd.get());
  if (found == kept_.end()) return;
  stale_.push_back(std::move(found->second.name));
  kept_.erase(found);
}

// New descriptors first, then the text that names them, then what it names no more: whenever it ends, the newest text has all its descriptors.
void FdStore::save(const StateWriter& state) {
  if (!service_.isOn()) return;
  std::string numbered = state.text();
  if (numbered == last_ || !keepPages()) return;
  std::string text;
  std::set<int> held;
  for (const StateEntry& entry : state.entries()) {
    text += entry.text;
    const char* separator = " names=";
    for (int fd : entry.fds) {
      const std::string* name = nameOf(fd, entry);
      // The text that is there names only what is kept: it stays until all of the next one is.
      if (name == nullptr) return;
      text += separator + *name;
      separator = ",";
      held.insert(fd);
    }
    text += '\n';
  }
  if (!write(std::move(text))) return;
  std::erase_if(kept_, [&](const auto& item) {
    if (held.contains(item.first)) return false;
    stale_.push_back(std::move(item.second.name));
    return true;
  });
  for (const std::string& name : stale_) service_.letGo(name);
  stale_.clear();
  last_ = std::move(numbered);
}

bool FdStore::keepPages() {
  for (size_t i = 0; i < pages_.size(); i++) {
    if (pages_[i]) continue;
    Fd page(memfd_create(PAGE_NAMES[i], MFD_CLOEXEC));
    if (!page || !service_.keep(PAGE_NAMES[i], page.get())) return false;
    pages_[i] = std::move(page);
  }
  return true;
}

const std::string* FdStore::nameOf(int fd, const StateEntry& entry) {
  ino_t inode = inodeOf(fd);
  auto found = kept_.find(fd);
  if (found != kept_.end() && found->second.inode == inode) return &found->second.name;
  Message message;
  (void)decode(entry.text, message);
  std::string key = message.text(message.verb == "member" ? "group" : "key").substr(0, NAME_KEY_MAX);
  for (char& c : key) {
    if (!isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  }
  std::string name = std::string(PREFIX) + message.verb + (key.empty() ? "" : "." + key) + "." + std::to_string(++serial_);
  if (!service_.keep(name, fd)) return nullptr;
  if (found != kept_.end()) stale_.push_back(std::move(found->second.name));
  return &kept_.insert_or_assign(fd, Kept{std::move(name), inode}).first->second.name;
}

bool FdStore::write(std::string text) {
  std::string head = Writer("state", ++sequence_).add("check", std::to_string(checksum(text))).take() + "\n";
  text.insert(0, head);
  int fd = pages_[sequence_ % pages_.size()].get();
  size_t have = 0;
  while (have < text.size()) {
    ssize_t size = pwrite(fd, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    have += static_cast<size_t>(size);
  }
  // Out of memory: the other page is the last whole one, and it is tried anew.
  if (have == text.size() && ftruncate(fd, static_cast<off_t>(text.size())) == 0) return true;
  say("The state could not be kept: %s.", strerror(errno));
  sequence_--;
  return false;
}

void FdStore::clear() {
  if (!service_.isOn()) return;
  for (const auto& [fd, kept] : kept_) service_.letGo(kept.name);
  for (size_t i = 0; i < pages_.size(); i++) {
    if (pages_[i]) service_.letGo(PAGE_NAMES[i]);
  }
}

}  // namespace covet
