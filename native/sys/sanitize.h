// Shows that a sanitizer build can fail: `--sanitizer-self-check address` or `undefined` makes the mistake that must be caught.
// In an ordinary build it is nothing. scripts/build-native.mjs --sanitize runs both after building.
#pragma once

#include <climits>
#include <cstring>

namespace covet {

inline void sanitizerSelfCheck([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
#ifdef COVET_SANITIZE
  if (argc != 3 || strcmp(argv[1], "--sanitizer-self-check") != 0) return;
  if (strcmp(argv[2], "address") == 0) {
    volatile char* memory = new char[static_cast<size_t>(argc)];
    memory[argc] = 1;
    delete[] memory;
  } else {
    volatile int number = INT_MAX;
    number = number + argc;
  }
#endif
}

}  // namespace covet
