// What the copying thread has to say, gathered until the JS thread takes it: however much is copied, it is one call.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace covet {

struct LogNews {
  struct Grown {
    int64_t size = 0;
    bool isRotated = false;
  };
  struct Trouble {
    int code = 0;  // errno
    int64_t droppedBytes = 0;
  };

  std::map<int, Grown> grown;      // by stream
  std::map<int, Trouble> trouble;  // by stream
  std::vector<std::pair<int, int>> ended;  // stream, source
  std::vector<uint64_t> flushed;           // tickets
};

// Written by the copying thread alone, read by any.
struct LogCounts {
  std::atomic<int64_t> bytes = 0;
  std::atomic<int64_t> lines = 0;
  std::atomic<int64_t> droppedBytes = 0;
};

}  // namespace covet
