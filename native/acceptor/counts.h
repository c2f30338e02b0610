// What the acceptor's thread has done. Written by it alone and read by anyone at any time: each is true, together they may be of different
// instants.
#pragma once

#include <atomic>
#include <cstdint>

namespace covet {

class Count {
 public:
  void operator+=(uint64_t more) { value_.store(get() + more, std::memory_order_relaxed); }
  void set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;  // one writer
};

// taken = handed + reset + held + those that are with a worker which has not answered yet.
struct RescueCounts {
  Count taken;     // connections accepted out of a queue
  Count handed;    // that a worker said it has taken
  Count refused;   // that a worker gave back, or could not say anything about any more; they go to another
  Count reset;     // that nobody took in time
  Count held;      // just now: waiting for a worker
  Count allStuck;  // times that a queue was due and every worker was busy: overload
  Count wakes;     // of the thread
  Count rounds;    // in which it looked at queues
  // Accepts that failed, by what that meant.
  Count connectionGone;
  Count noDescriptors;
  Count noMemory;
  Count noListener;
};

}  // namespace covet
