// The words of a hand-over, the type HandOver of supervisor/protocol/worker-wire.ts: connections go with a packet, an answer comes for each
// packet, in order. A worker is not trusted: what is not exactly an answer ends the conversation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace covet {

struct HandOverAnswer {
  bool isTaken;  // else refused
  uint64_t count;
};

// Whether a key may stand in a packet as it is: printable ASCII without quotes and backslashes, as every listener's key is.
bool isListenerKey(std::string_view key);

// {"t":"conns","listener":"tcp://[::]:3000"}
std::string handOverPacket(std::string_view listenerKey);

std::optional<HandOverAnswer> readHandOverAnswer(std::string_view text);

}  // namespace covet
