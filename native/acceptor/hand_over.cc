// The words of a hand-over; see hand_over.h.
#include "acceptor/hand_over.h"

#include <algorithm>

namespace covet {

namespace {

constexpr size_t DIGITS_MAX = 4;

// {"t":"<word>","count":12}
std::optional<uint64_t> readCount(std::string_view text, std::string_view word) {
  std::string begin = "{\"t\":\"" + std::string(word) + "\",\"count\":";
  if (!text.starts_with(begin) || !text.ends_with('}')) return std::nullopt;
  std::string_view digits = text.substr(begin.size(), text.size() - begin.size() - 1);
  if (digits.empty() || digits.size() > DIGITS_MAX) return std::nullopt;
  uint64_t count = 0;
  for (char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    count = count * 10 + static_cast<uint64_t>(digit - '0');
  }
  return count;
}

}  // namespace

bool isListenerKey(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

std::string handOverPacket(std::string_view listenerKey) { return "{\"t\":\"conns\",\"listener\":\"" + std::string(listenerKey) + "\"}"; }

std::optional<HandOverAnswer> readHandOverAnswer(std::string_view text) {
  if (auto count = readCount(text, "taken")) return HandOverAnswer{true, *count};
  if (auto count = readCount(text, "refused")) return HandOverAnswer{false, *count};
  return std::nullopt;
}

}  // namespace covet
