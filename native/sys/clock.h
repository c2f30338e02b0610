// Milliseconds that only go forward, for deadlines. CLOCK_MONOTONIC, clock_gettime(2).
#pragma once

#include <time.h>

#include <cstdint>

namespace covet {

inline int64_t nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000 + now.tv_nsec / 1'000'000;
}

}  // namespace covet
