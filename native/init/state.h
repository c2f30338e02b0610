// What one covet-init leaves to the covet-init that takes its place in the same process: by execve, from one release to the next, or from a
// supervisor that becomes covet-init because its own was killed.
//
// It is a hello's packets, a line each, with the numbers of their descriptors, which the execve leaves open: `member 0 group=web-1 … fds=31`.
// So there is one format for whoever takes over, and each release reads what an older one wrote: unknown keys and verbs are ignored.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "init/packet_sink.h"
#include "init/wire.h"
#include "sys/fd.h"
#include "sys/result.h"

namespace covet {

class StateWriter : public PacketSink {
 public:
  // Descriptors are borrowed: they must be open when the state is read.
  void send(std::string text, std::initializer_list<int> fds = {}) override;

  // The text in a sealed memfd, at its beginning. Fails with EMFILE, ENOMEM.
  Result<Fd> seal() const;
  const std::vector<int>& fds() const { return fds_; }

 private:
  std::string text_;
  std::vector<int> fds_;
};

struct StateLine {
  Message message;
  std::vector<int> fds;
};

// Fails with EINVAL when it is no state or one of its descriptors is not open, EFBIG.
Result<std::vector<StateLine>> readState(int fd);

// Whether the home's lock is among what it hands on: then it must not be taken anew.
bool stateHasLock(int fd);

}  // namespace covet
