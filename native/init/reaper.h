// Takes every dead child, as PID 1 and a child subreaper must: the supervisor, workers, and orphans that nobody knows.
// A pid is looked at before it is reaped (WNOWAIT), and every open report is read first: so the number still belongs to that process
// while its record is found, and a worker that ends within microseconds is known when it does. waitid(2), prctl(2) PR_SET_CHILD_SUBREAPER.
#pragma once

#include <sys/types.h>

#include "init/workers.h"

namespace covet {

// Who is told of a dead child that is no worker; covet-init's own children are never anything but these two.
class ReaperEvents {
 public:
  // Called after the reaping, with the raw wait status.
  virtual void onChildReaped(pid_t pid, int status) = 0;

 protected:
  ~ReaperEvents() = default;
};

// Reaps until no dead child is left. Never waits.
void reapAll(Workers& workers, ReaperEvents& events);

}  // namespace covet
