// What one covet-init leaves to the covet-init that takes its place in the same process: by execve, from one release to the next, or from a
// supervisor that becomes covet-init because its own was killed.
//
// It is a hello's packets, a line each, with the numbers of their descriptors, which the execve leaves open: `member 0 group=web-1 … fds=31`.
// So there is one format for whoever takes over, and each release reads what an older one wrote: unknown keys and verbs are ignored.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "init/packet_sink.h"
#include "init/wire.h"
#include "sys/fd.h"
#include "sys/result.h"

namespace covet {

struct StateEntry {
  std::string text;
  std::vector<int> fds;
};

class StateWriter : public PacketSink {
 public:
  // Descriptors are borrowed: they must be open when the state is read.
  void send(std::string text, std::initializer_list<int> fds = {}) override { entries_.push_back({std::move(text), fds}); }

  // With the numbers of the descriptors.
  std::string text() const;
  // The text in a sealed memfd, at its beginning. Fails with EMFILE, ENOMEM.
  Result<Fd> seal() const;
  std::vector<int> fds() const;
  const std::vector<StateEntry>& entries() const { return entries_; }

 private:
  std::vector<StateEntry> entries_;
};

struct StateLine {
  Message message;
  std::vector<int> fds;
};

// The descriptor of a name, or -1.
using FdOfName = std::function<int(std::string_view name)>;

// Fails with EINVAL when it is no state, ENOENT when one of its descriptors is not open.
Result<std::vector<StateLine>> parseState(std::string_view text, const FdOfName& fdOfName);
// The same of a file with the numbers of descriptors. EFBIG.
Result<std::vector<StateLine>> readState(int fd);
// The whole of a file from its beginning. Fails with EFBIG, EIO.
Result<std::string> readWhole(int fd);

// Whether the home's lock is among what it hands on: then it must not be taken anew.
bool stateHasLock(int fd);

}  // namespace covet
