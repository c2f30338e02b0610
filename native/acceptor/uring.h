// An io_uring by its three system calls, for one thread: entries are prepared, submitted, and their completions reaped. io_uring(7),
// io_uring_setup(2), io_uring_enter(2).
//
// With plain flags, since the ring may be opened on one thread and used on another; its thread only ever sleeps in enter(). The kernel sets
// CLOEXEC on every ring. It asks for IORING_FEAT_EXT_ARG (a deadline for a wait) and IORING_FEAT_NODROP (no completion is lost when
// there are more than the ring holds): Linux 5.11.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

#include "sys/fd.h"
#include "sys/result.h"

namespace covet {

class Uring {
 public:
  static constexpr unsigned ENTRIES = 64;

  Uring() = default;
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;
  ~Uring();

  // Fails with ENOSYS, EPERM, ENOMEM (RLIMIT_MEMLOCK before Linux 5.12), EINVAL where the kernel is too old.
  Status open();

  // A cleared entry to fill in, or null while there is no room: enter() makes some, unless completions are to be reaped before (EBUSY).
  io_uring_sqe* prepare(uint8_t operation, int fd, uint64_t userData);
  // Submits what is prepared and waits for `atLeast` completions, or until the deadline. One that waits already ends it at once.
  void enter(unsigned atLeast, int64_t deadlineMs);
  // The oldest completion, taken out; false when there is none.
  bool reap(io_uring_cqe& completion);

 private:
  Status map(const io_uring_params& parameters);

  Fd ring_;
  void* memory_ = nullptr;
  size_t memoryBytes_ = 0;
  io_uring_sqe* entries_ = nullptr;
  size_t entriesBytes_ = 0;
  // In memory shared with the kernel: it moves the head of what is submitted and the tail of what is complete, we the other two.
  unsigned* submitHead_ = nullptr;
  unsigned* submitTail_ = nullptr;
  unsigned submitMask_ = 0;
  unsigned submitEntries_ = 0;
  unsigned* completeHead_ = nullptr;
  unsigned* completeTail_ = nullptr;
  unsigned completeMask_ = 0;
  io_uring_cqe* completions_ = nullptr;
};

}  // namespace covet
