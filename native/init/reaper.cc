// The reap loop; see reaper.h.
#include "init/reaper.h"

#include <sys/wait.h>

namespace covet {

void reapAll(Workers& workers, ReaperEvents& events) {
  for (;;) {
    siginfo_t dead{};
    // ECHILD: no child at all; si_pid 0: none that is dead.
    if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 || dead.si_pid == 0) return;
    workers.readReports();
    int status;
    if (waitpid(dead.si_pid, &status, WNOHANG) != dead.si_pid) return;
    if (!workers.reaped(dead.si_pid, status)) events.onChildReaped(dead.si_pid, status);
  }
}

}  // namespace covet
