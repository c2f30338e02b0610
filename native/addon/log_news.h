// What the copying thread has to say, gathered until the JS thread takes it: however much is copied, it is one call.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace covet {

// What may fail of a log; LogAction of native/index.ts, in its order.
enum class LogAction { Write, Rotate, Open, Watch };
inline constexpr size_t LOG_ACTIONS = 4;

struct LogNews {
  struct Grown {
    int64_t size = 0;
    bool isRotated = false;
  };
  struct Trouble {
    int code = 0;         // errno, of the last failure; 0: none
    bool isOver = false;  // and it is well again
  };
  struct Dropped {
    int code = 0;  // errno
    int64_t bytes = 0;
  };

  std::map<int, Grown> grown;      // by stream
  std::map<std::pair<int, LogAction>, Trouble> troubles;
  std::map<int, Dropped> dropped;  // by stream
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
