// Writing it; see record.h.
#include "init/record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "init/say.h"
#include "init/wire.h"
#include "sys/fd.h"

namespace covet {

namespace {

// `socket:[4711]`; empty where there is no /proc, and then nothing can be found either.
std::string leadsTo(int fd) {
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  char name[64];
  ssize_t size = readlink(path.c_str(), name, sizeof name);
  return size < 0 ? "" : std::string(name, static_cast<size_t>(size));
}

std::string bootId() {
  Fd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!file || read(file.get(), text, sizeof text - 1) < 0) return {};
  return std::string(text, strcspn(text, "\n"));
}

// A new file in place of the old one: whoever reads finds one of the two whole. Not synced, for after a boot it means nothing.
Status replaceFile(const std::string& path, const std::string& text) {
  std::string fresh = path + ".new";
  Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return lastError("open");
  for (size_t have = 0; have < text.size();) {
    ssize_t size = write(file.get(), text.data() + have, text.size() - have);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return lastError("write");
    have += static_cast<size_t>(size);
  }
  if (rename(fresh.c_str(), path.c_str()) < 0) return lastError("rename");
  return {};
}

}  // namespace

void Record::open(const char* lockPath) {
  std::string lock = lockPath;
  path_ = lock.substr(0, lock.rfind('/') + 1) + "held";
  boot_ = bootId();
}

void Record::save(const StateWriter& state) {
  if (!isOn()) return;
  std::string numbered = state.text();
  if (numbered == last_) return;
  std::string text = Writer("record", 0).add("boot", boot_).take() + "\n";
  for (const StateEntry& entry : state.entries()) {
    text += entry.text;
    const char* separator = " names=";
    for (int fd : entry.fds) {
      text += separator + leadsTo(fd);
      separator = ",";
    }
    text += '\n';
  }
  // A full disk is no reason to stop; it is tried again when something changes.
  if (Status written = replaceFile(path_, text); !written.ok()) {
    say("Cannot write %s: %s (%s). If covet-init and its supervisor were killed at once, the workers would not be found again.", path_.c_str(), written.error().text(), written.error().name());
  }
  last_ = std::move(numbered);
}

void Record::clear() {
  if (isOn()) (void)unlink(path_.c_str());
}

}  // namespace covet
