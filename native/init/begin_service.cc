// How covet-init begins under a service manager: anew, or with what the one before it left there. See init.h, service.h, fd_store.h.
#include <poll.h>

#include <csignal>

#include "init/init.h"
#include "init/say.h"
#include "init/sweep.h"
#include "sys/pidfd.h"

namespace covet {

namespace {
constexpr int SUPERVISOR_END_MS = 5'000;
}

Status Init::openService() {
  if (Status opened = service_.open(); !opened.ok()) return opened;
  std::vector<NamedFd> given = service_.takeDescriptors();
  // In place of another covet-init: it goes on with that one's supervisor.
  if (options_.stateFd >= 0) return {};
  Status taken = takeBack(given);
  if (taken.ok()) {
    for (NamedFd& entry : given) {
      if (entry.fd && !groups_.activate(std::move(entry.fd))) say("The socket \"%s\" of the service manager is neither a stream's nor a datagram's, ignoring.", entry.name.c_str());
    }
    return {};
  }
  // Half of it would be worse than nothing: sockets that nobody knows of would go on taking connections.
  say("What the service manager kept cannot be taken over: %s (%s). Everything of it is ended.", taken.error().text(), taken.error().name());
  for (const NamedFd& entry : given) service_.letGo(entry.name);
  sweepOthers();
  _exit(1);
}

Status Init::takeBack(std::vector<NamedFd>& given) {
  Result<std::vector<StateLine>> lines = fdStore_.take(given);
  if (!lines.ok()) return lines.error();
  if (lines->empty()) {
    // A manager that restarts us keeps what we held; without it whatever still runs is of a service that was stopped meanwhile.
    if (int count = sweepOthers(); count > 0) say("%d processes of this service were left with nothing to know them by, and were ended.", count);
    return {};
  }
  if (Status restored = restore(*lines); !restored.ok()) return restored;
  workers_.disown();
  say("covet-init was started again and has taken back what it held: %zu workers.", workers_.packets() / 2);
  if (supervisorPidfd_) endSupervisor();
  workers_.beginSpill();
  return {};
}

// It saw its wire end and does nothing more than to copy lines; or it hangs. Either way it would read what is read from here on.
void Init::endSupervisor() {
  (void)pidfdSignal(supervisorPidfd_.get(), SIGKILL);
  pollfd end{supervisorPidfd_.get(), POLLIN, 0};
  while (poll(&end, 1, SUPERVISOR_END_MS) < 0 && errno == EINTR) continue;
  supervisorPidfd_.reset();
}

}  // namespace covet
