// The ring; see uring.h.
#include "acceptor/uring.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "acceptor/backend.h"
#include "sys/clock.h"

namespace covet {

namespace {

constexpr unsigned FEATURES = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;

unsigned load(const unsigned* from) { return __atomic_load_n(from, __ATOMIC_ACQUIRE); }
void store(unsigned* to, unsigned value) { __atomic_store_n(to, value, __ATOMIC_RELEASE); }

}  // namespace

Uring::~Uring() {
  if (entries_ != nullptr) munmap(entries_, entriesBytes_);
  if (memory_ != nullptr) munmap(memory_, memoryBytes_);
}

Status Uring::open() {
  io_uring_params parameters{};
  ring_.reset(static_cast<int>(syscall(SYS_io_uring_setup, ENTRIES, &parameters)));
  if (!ring_) return lastError("io_uring_setup");
  if ((parameters.features & FEATURES) != FEATURES) return SysError{EINVAL, "io_uring_setup"};
  return map(parameters);
}

Status Uring::map(const io_uring_params& parameters) {
  const auto& [submit, complete] = std::pair(parameters.sq_off, parameters.cq_off);
  memoryBytes_ = std::max<size_t>(submit.array + parameters.sq_entries * sizeof(unsigned), complete.cqes + parameters.cq_entries * sizeof(io_uring_cqe));
  entriesBytes_ = parameters.sq_entries * sizeof(io_uring_sqe);
  constexpr int PROTECTION = PROT_READ | PROT_WRITE;
  void* memory = mmap(nullptr, memoryBytes_, PROTECTION, MAP_SHARED | MAP_POPULATE, ring_.get(), IORING_OFF_SQ_RING);
  if (memory == MAP_FAILED) return lastError("mmap");
  memory_ = memory;
  void* entries = mmap(nullptr, entriesBytes_, PROTECTION, MAP_SHARED | MAP_POPULATE, ring_.get(), IORING_OFF_SQES);
  if (entries == MAP_FAILED) return lastError("mmap");
  entries_ = static_cast<io_uring_sqe*>(entries);

  char* base = static_cast<char*>(memory);
  auto at = [base](uint32_t offset) { return reinterpret_cast<unsigned*>(base + offset); };
  submitHead_ = at(submit.head);
  submitTail_ = at(submit.tail);
  submitMask_ = *at(submit.ring_mask);
  submitEntries_ = parameters.sq_entries;
  completeHead_ = at(complete.head);
  completeTail_ = at(complete.tail);
  completeMask_ = *at(complete.ring_mask);
  completions_ = reinterpret_cast<io_uring_cqe*>(base + complete.cqes);
  // Entry i always lies in place i.
  unsigned* order = at(submit.array);
  for (unsigned i = 0; i < parameters.sq_entries; i++) order[i] = i;
  return {};
}

io_uring_sqe* Uring::prepare(uint8_t operation, int fd, uint64_t userData) {
  if (*submitTail_ - load(submitHead_) == submitEntries_) return nullptr;
  unsigned tail = *submitTail_;
  io_uring_sqe& entry = entries_[tail & submitMask_];
  memset(&entry, 0, sizeof entry);
  entry.opcode = operation;
  entry.fd = fd;
  entry.user_data = userData;
  store(submitTail_, tail + 1);
  return &entry;
}

void Uring::enter(unsigned atLeast, int64_t deadlineMs) {
  unsigned prepared = *submitTail_ - load(submitHead_);
  io_uring_getevents_arg argument{};
  __kernel_timespec left{};
  if (deadlineMs != NEVER_MS) {
    int64_t leftMs = std::max<int64_t>(deadlineMs - nowMs(), 0);
    left = {leftMs / 1'000, leftMs % 1'000 * 1'000'000};
    argument.ts = reinterpret_cast<uint64_t>(&left);
  }
  // GETEVENTS even without a wait: it brings completions for which there was no room in the ring. What it may say is no more than a reason
  // to look: ETIME (the deadline), EINTR, EBUSY and EAGAIN (entries are submitted by the next call).
  constexpr unsigned FLAGS = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  syscall(SYS_io_uring_enter, ring_.get(), prepared, atLeast, FLAGS, &argument, sizeof argument);
}

bool Uring::reap(io_uring_cqe& completion) {
  unsigned head = *completeHead_;
  if (head == load(completeTail_)) return false;
  completion = completions_[head & completeMask_];
  store(completeHead_, head + 1);
  return true;
}

}  // namespace covet
