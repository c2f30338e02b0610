// covet-init: holds what must not die with the supervisor. PID 1 in a container, a child subreaper elsewhere; C++, static, no V8.
//
// Two ways in: with a program it starts the supervisor and starts it again (options.h); with --supervisor-fd its parent is the supervisor.
// Here: the process is made ready (descriptors, limits, lock, log), then init.h has the life. Exit codes: the supervisor's word by `quit`;
// 0 ended by a signal or by the embedding program's end, 1 could not start, 2 usage, 69 another has the lock (a service's), 125 the supervisor of a
// foreground run died.
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <string>

#include "init/init.h"
#include "init/lock.h"
#include "init/say.h"
#include "init/sweep.h"
#include "sys/sanitize.h"

namespace {

constexpr int EXIT_LOCKED = 69;  // to a service manager: starting us again would not help (dashboard/systemd/unit.ts)

// 0, 1 and 2 are always something: a socket there would be written to by the first complaint.
void fillStandard() {
  int fd;
  do fd = open("/dev/null", O_RDWR);  // inherited, as 0 to 2 are
  while (fd >= 0 && fd <= 2);
  if (fd > 2) close(fd);
}

// Whatever leaked in from the caller's shell would stay open for as long as the daemon lives.
bool closeAllBut(int one, int other) {
  if (one > other) std::swap(one, other);
  unsigned first = 3;
  for (int keep : {one, other}) {
    if (keep < 0) continue;
    unsigned kept = static_cast<unsigned>(keep);
    if (kept > first && close_range(first, kept - 1, 0) < 0) return false;
    if (fcntl(keep, F_SETFD, FD_CLOEXEC) < 0) return false;
    first = std::max(first, kept + 1);
  }
  return close_range(first, UINT_MAX, 0) == 0;
}

// Every socket and pipe of every worker is ours as well: the soft limit is no help.
void raiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// stdout and stderr, ours and so the supervisor's, go to the end of the file.
bool openLog(const char* path) {
  covet::Fd file(open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  return file && dup2(file.get(), 1) == 1 && dup2(file.get(), 2) == 2;
}

// Said to the caller's stderr, and on its ready pipe when it waits there.
int refuse(int readyFd, const std::string& sentence, int code) {
  covet::say("%s", sentence.c_str());
  std::string line = "error " + sentence + "\n";
  if (readyFd >= 0) (void)!write(readyFd, line.data(), line.size());
  return code;
}

std::string because(const std::string& what, const covet::SysError& error) { return what + ": " + error.text() + " (" + error.name() + ")"; }

}  // namespace

int main(int argc, char** argv) {
  covet::sanitizerSelfCheck(argc, argv);
  covet::Options options;
  fillStandard();
  if (const char* problem = covet::parseOptions(argc, argv, options); problem != nullptr) return refuse(options.readyFd, problem, 2);
  if (options.isSweep) return covet::sweepAfterService();
  if (options.checkFd >= 0) {
    // Nothing of what it reads is let go of: this process only looks.
    _exit(covet::Init(options).check(options.checkFd) ? 0 : 1);
  }
  // In place of another covet-init every descriptor is wanted: that one kept the rest from being inherited. So is what a service manager gives.
  if (options.stateFd < 0 && !options.isService && !closeAllBut(options.readyFd, options.supervisorFd)) return refuse(-1, because("Cannot use the given descriptors", covet::lastError("close_range")), 1);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);  // ignored, as a careless parent leaves it, children would be reaped by the kernel and their status lost
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) return refuse(options.readyFd, because("Cannot become a subreaper", covet::lastError("prctl")), 1);
  raiseFileLimit();

  covet::Lock lock;
  bool hasLock = options.stateFd >= 0 && covet::stateHasLock(options.stateFd);
  if (options.lock != nullptr && !hasLock) {
    lock = options.stateFd >= 0 ? covet::takeLockOfOneKilled(options.lock) : covet::takeLock(options.lock);
    // One that takes over goes on all the same: whoever has the lock meanwhile has none of what it holds. One that somebody waits for is found
    // again by that one, and may have been already.
    if (!lock.fd && options.stateFd >= 0 && options.readyFd < 0) covet::say("Cannot lock %s: %s (%s), going on.", options.lock, lock.error.text(), lock.error.name());
    else if (lock.error.code == EWOULDBLOCK) return refuse(options.readyFd, "already running as pid " + std::to_string(lock.holder), options.isService ? EXIT_LOCKED : 1);
    else if (!lock.fd) return refuse(options.readyFd, because(std::string("Cannot lock ") + options.lock, lock.error), 1);
  }
  if (options.log != nullptr && !openLog(options.log)) {
    return refuse(options.readyFd, because(std::string("Cannot open ") + options.log, covet::lastError("open")), 1);
  }
  return covet::Init(options).run(std::move(lock.fd));
}
