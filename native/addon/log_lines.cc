// Lines and their stamps; see log_lines.h.
#include "addon/log_lines.h"

#include <cstdio>
#include <ctime>

namespace covet {

namespace {

// The length of the first line of `text`, its newline included.
size_t firstLine(std::string_view text) {
  size_t at = text.find('\n');
  return at == std::string_view::npos ? text.size() : at + 1;
}

}  // namespace

size_t wholeLines(std::string_view text) { return text.rfind('\n') + 1; }  // npos + 1 is 0

size_t countLines(std::string_view text) {
  size_t count = 0;
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) count++;
  return count;
}

size_t linesWithin(std::string_view text, size_t room, size_t extra) {
  if (extra == 0) return text.size() <= room ? text.size() : wholeLines(text.substr(0, room));
  size_t taken = 0;
  while (taken < text.size()) {
    size_t line = firstLine(text.substr(taken));
    if (line + extra > room) break;
    room -= line + extra;
    taken += line;
  }
  return taken;
}

std::string stampNow() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts;
  gmtime_r(&now.tv_sec, &parts);
  char text[64];
  int size = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                      parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1'000'000);
  return std::string(text, static_cast<size_t>(size));
}

void stampLines(std::string& out, std::string_view text, std::string_view stamp, bool beginsLine) {
  while (!text.empty()) {
    if (beginsLine) out += stamp;
    size_t line = firstLine(text);
    out += text.substr(0, line);
    text.remove_prefix(line);
    beginsLine = true;
  }
}

}  // namespace covet
