// Lines on stderr; see say.h.
#include "init/say.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace covet {

namespace {

// As supervisor/own-words.ts has it.
bool isJsonWanted() {
  const char* format = getenv("COVET_LOG_FORMAT");
  return format != nullptr && strcmp(format, "json") == 0;
}

// Without gmtime(3) and strftime(3), which bring time zones and locales: 150 KiB of a static program.
std::string timeNow() {
  using namespace std::chrono;
  auto now = floor<milliseconds>(system_clock::now());
  auto day = floor<days>(now);
  year_month_day date(day);
  hh_mm_ss time(now - day);
  char text[64];
  snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
           static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
           static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
  return text;
}

std::string jsonLine(std::string_view message) {
  std::string line = R"({"time":")" + timeNow() + R"(","app":null,"slot":null,"stream":"covet","message":")";
  for (char each : message) {
    if (each == '"' || each == '\\') line += '\\';
    line += static_cast<unsigned char>(each) < ' ' ? ' ' : each;
  }
  return line + "\"}\n";
}

}  // namespace

void say(const char* format, ...) {
  // One write(2): a line is not torn by what the supervisor writes to the same file.
  char line[512] = "covet-init: ";
  constexpr int PREFIX = sizeof "covet-init: " - 1, ROOM = sizeof line - PREFIX - 1;
  va_list arguments;
  va_start(arguments, format);
  int size = std::clamp(vsnprintf(line + PREFIX, ROOM, format, arguments), 0, ROOM - 1);
  va_end(arguments);
  std::string_view text(line, static_cast<size_t>(PREFIX + size));
  std::string whole = isJsonWanted() ? jsonLine(text) : std::string(text) + "\n";
  (void)!write(2, whole.data(), whole.size());  // nobody to tell when even this fails
}

}  // namespace covet
