// The codec of the wire between covet-init and the supervisor, in C++; supervisor/protocol/init-wire.ts is the contract.
// A packet is `verb id key=value…`, values percent-encoded as encodeURIComponent does. Pure: no I/O, no state. What arrives is not
// trusted: every length is bounded by the packet, and what does not decode is a value that says so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sys/result.h"

namespace covet {

inline constexpr int WIRE_VERSION = 1;                       // INIT_WIRE_VERSION, both min and max
inline constexpr uint64_t ID_MAX = 9'007'199'254'740'991;    // Number.MAX_SAFE_INTEGER
inline constexpr size_t KEY_BYTES_MAX = 256;                 // of a group or a worker
inline constexpr size_t NOTE_BYTES_MAX = 16'384;             // percent-encoded threefold it still fits into a packet

class Message {
 public:
  std::string verb;
  uint64_t id = 0;

  // The last value of a key, as in the TypeScript codec; null when there is none.
  const std::string* find(std::string_view key) const;
  std::string text(std::string_view key) const;
  // Decimal, within the bounds; nullopt for anything else, absence included.
  std::optional<int64_t> number(std::string_view key, int64_t min, int64_t max) const;

  std::vector<std::pair<std::string, std::string>> fields;
};

// False when the text is no message; `into.id` is then the request's id if that much could be read, else 0.
bool decode(std::string_view text, Message& into);

// Writes a message: Writer("running", 0).add("key", key).add("pid", pid).take()
class Writer {
 public:
  Writer(std::string_view verb, uint64_t id);
  Writer& add(std::string_view key, std::string_view value);
  Writer& add(std::string_view key, int64_t value);
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// `error id errno=98 code=EADDRINUSE syscall=bind`
std::string errorText(uint64_t id, const SysError& error);

}  // namespace covet
