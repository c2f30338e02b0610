// Lines on stderr; see say.h.
#include "init/say.h"

#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace covet {

void say(const char* format, ...) {
  // One write(2): a line is not torn by what the supervisor writes to the same file.
  char line[512] = "covet-init: ";
  constexpr int PREFIX = sizeof "covet-init: " - 1, ROOM = sizeof line - PREFIX - 1;
  va_list arguments;
  va_start(arguments, format);
  int size = std::clamp(vsnprintf(line + PREFIX, ROOM, format, arguments), 0, ROOM - 1);
  va_end(arguments);
  line[PREFIX + size] = '\n';
  (void)!write(2, line, static_cast<size_t>(PREFIX + size + 1));  // nobody to tell when even this fails
}

}  // namespace covet
