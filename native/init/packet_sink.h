// Whoever is told what is held, packet by packet: a supervisor over the wire, or the next covet-init by a state.
#pragma once

#include <initializer_list>
#include <string>

namespace covet {

class PacketSink {
 public:
  virtual void send(std::string text, std::initializer_list<int> fds = {}) = 0;

 protected:
  ~PacketSink() = default;
};

}  // namespace covet
