// Lines of a log, as text: where they end, how many fit, and a time before each. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace covet {

inline constexpr size_t STAMP_BYTES = 25;  // "YYYY-MM-DDTHH:MM:SS.mmmZ "

// How much of `text` is whole lines: up to and with its last newline.
size_t wholeLines(std::string_view text);

size_t countLines(std::string_view text);

// How much of `text` fits into `room` when each of its lines takes `extra` bytes more, cut after a line. A last piece without a newline
// counts as a line.
size_t linesWithin(std::string_view text, size_t room, size_t extra);

// The time now, UTC, as STAMP_BYTES say.
std::string stampNow();

// Puts `stamp` before each line of `text` into `out`; before the first only if it begins one.
void stampLines(std::string& out, std::string_view text, std::string_view stamp, bool beginsLine);

}  // namespace covet
