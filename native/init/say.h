// What covet-init itself has to say: one sentence a line, to stderr, which is the log where there is one.
#pragma once

namespace covet {

[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

}  // namespace covet
