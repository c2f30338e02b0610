// The supervisor's process: started with the wire as descriptor 3 and nothing else, and how long to wait before the next one.
// Its own session: what a terminal sends reaches covet-init alone, which passes it on by the wire; and when covet-init dies while the
// supervisor is stopped, no SIGHUP of the kernel's for orphaned groups (setpgid(2)) ends it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sys/fd.h"
#include "sys/result.h"

namespace covet {

struct Spawned {
  pid_t pid;
  Fd pidfd;
};

using Program = std::vector<std::string>;

// `wire` becomes its descriptor 3, /dev/null its 0; 1 and 2 are ours. Fails with the errno of execvp(3) too.
Result<Spawned> spawnSupervisor(const Program& program, int wire);

// "code 1", "signal 9 (SIGKILL)".
std::string describeStatus(int status);

// Restart at once after a life of more than a second, else 100 ms, doubling to 5 s.
class Backoff {
 public:
  int64_t afterLifeOf(int64_t livedMs);

 private:
  int64_t delayMs_ = 0;
};

// Deaths of the last minute: a supervisor that hears of several does only what is safe.
class Deaths {
 public:
  void add(int64_t atMs) { atMs_.push_back(atMs); }
  size_t within(int64_t nowMs);

 private:
  std::vector<int64_t> atMs_;
};

}  // namespace covet
