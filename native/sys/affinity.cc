// CPU masks of any size; see affinity.h.
#include "affinity.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace covet {

namespace {

constexpr int WORD_BITS = 8 * sizeof(unsigned long);
constexpr size_t WORDS_MAX = 1'024;  // 65,536 CPUs; Linux is built for at most 8,192

}  // namespace

Result<std::vector<int>> affinity(pid_t pid) {
  // The system call and not its wrapper: it tells how much of the mask the kernel filled in. EINVAL: the kernel's mask is larger.
  std::vector<unsigned long> mask(16);
  long size;
  while ((size = syscall(SYS_sched_getaffinity, pid, mask.size() * sizeof(unsigned long), mask.data())) < 0) {
    if (errno != EINVAL || mask.size() >= WORDS_MAX) return lastError("sched_getaffinity");
    mask.resize(mask.size() * 2);
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < size * 8; cpu++) {
    if ((mask[static_cast<size_t>(cpu / WORD_BITS)] >> (cpu % WORD_BITS) & 1) != 0) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace covet
