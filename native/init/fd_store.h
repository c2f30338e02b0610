// What covet-init holds, kept by the service manager too: after a SIGKILL the next covet-init is given all of it and goes on (systemd's
// file descriptor store). Beside the descriptors lie two memfds with the state's text (state.h), written in turn and each with its checksum,
// so that one of them is whole whenever covet-init is killed. There descriptors have names, for numbers end with the process.
//
//   covet.worker.web-3-0.17    what it is of, and a number that never comes twice
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "init/service.h"
#include "init/state.h"

namespace covet {

class FdStore {
 public:
  explicit FdStore(Service& service) : service_(service) {}

  // The text of the last covet-init and its descriptors, out of what the manager gave; what is not ours stays there. Empty: there was none.
  // Fails with EINVAL when neither text is whole, ENOENT when one of its descriptors is missing.
  Result<std::vector<StateLine>> take(std::vector<NamedFd>& given);
  // Of a covet-init that is replaced by execve, and takes over: which descriptor is kept by which name.
  void tell(StateWriter& to) const;
  // True when the line's descriptors are the store's own from here on.
  bool restore(const Message& told, const std::vector<int>& fds);
  // Closed, and no longer kept by the manager either.
  void letGo(Fd fd);

  // Makes the store what `state` says. Nothing happens when it says what it said last.
  void save(const StateWriter& state);
  // An orderly end: nothing is kept.
  void clear();

 private:
  struct Kept {
    std::string name;
    ino_t inode;  // of what the number meant then
  };

  bool keepPages();
  // Null when the manager does not take it.
  const std::string* nameOf(int fd, const StateEntry& entry);
  bool write(std::string text);

  Service& service_;
  std::map<int, Kept> kept_;
  std::array<Fd, 2> pages_;
  uint64_t sequence_ = 0;
  uint64_t serial_ = 0;
  std::string last_;
  std::vector<std::string> stale_;  // let go of once the text names them no more
};

}  // namespace covet
