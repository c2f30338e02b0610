// The steps between fork and exec; see setup.h.
#include "setup.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace covet {

namespace {

SetupFailure failed(const char* stage) { return {stage, errno}; }

// Before the program's first instruction, so that nothing it starts is elsewhere; and as the supervisor's user, whose tree it is.
bool enterGroup(const char* procs) {
  int fd = open(procs, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool isIn = write(fd, "0", 1) == 1;  // 0: whoever writes
  int code = errno;
  close(fd);
  errno = code;
  return isIn;
}

bool limitFiles(rlim_t soft) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return false;
  limit.rlim_cur = soft;
  limit.rlim_max = std::max(limit.rlim_max, soft);  // raising it needs CAP_SYS_RESOURCE: EPERM otherwise
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

bool closeFrom(unsigned first, unsigned last) { return first > last || close_range(first, last, 0) == 0; }

// Everything that was not given to the program: Node's own sweep stops at the first hole, so strays do arrive here.
bool closeOthers(int keepMax, int reportFd) {
  unsigned first = static_cast<unsigned>(keepMax) + 1;
  if (reportFd <= keepMax) return closeFrom(first, UINT_MAX);
  unsigned report = static_cast<unsigned>(reportFd);
  return closeFrom(first, report - 1) && closeFrom(report + 1, UINT_MAX);
}

// Ignored signals and the mask survive exec(2); Node ignores SIGPIPE, and so would its workers.
bool resetSignals() {
  for (int signal = 1; signal <= SIGRTMAX; signal++) std::signal(signal, SIG_DFL);  // EINVAL for KILL and STOP
  sigset_t none;
  sigemptyset(&none);
  return sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

bool dropCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct nothing[_LINUX_CAPABILITY_U32S_3] = {};
  // EINVAL: no ambient set in this kernel.
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) return false;
  return syscall(SYS_capset, &header, nothing) == 0;
}

// Saved ids too; then the way back is tried, since a process that can return to root never left it.
SetupFailure become(const Identity& identity) {
  bool isAlready = geteuid() != 0 && identity.uid == getuid() && identity.gid == getgid();
  if (!isAlready) {
    if (setgroups(identity.groups.size(), identity.groups.data()) < 0) return failed("groups");
    if (setresgid(identity.gid, identity.gid, identity.gid) < 0) return failed("gid");
    if (setresuid(identity.uid, identity.uid, identity.uid) < 0) return failed("uid");
  }
  if (identity.uid == 0) return {};
  if (!dropCapabilities()) return failed("capabilities");
  if (setresuid(0, 0, 0) == 0 || setresuid(static_cast<uid_t>(-1), 0, static_cast<uid_t>(-1)) == 0) return {"uid", EPERM};
  return {};
}

bool setNumber(const char* name, long value) {
  char text[24];
  snprintf(text, sizeof text, "%ld", value);
  return setenv(name, text, 1) == 0;
}

}  // namespace

SetupFailure setUp(const Setup& setup) {
  if (setsid() < 0) return failed("session");
  if (setup.cgroupProcs != nullptr && !enterGroup(setup.cgroupProcs)) return failed("cgroup");
  if (setup.nofile && !limitFiles(*setup.nofile)) return failed("nofile");
  if (setup.cpus && sched_setaffinity(0, sizeof(cpu_set_t), &*setup.cpus) < 0) return failed("cpus");
  if (fcntl(setup.reportFd, F_SETFD, FD_CLOEXEC) < 0) return failed("report");
  if (!closeOthers(setup.keepMax, setup.reportFd)) return failed("close");
  if (!resetSignals()) return failed("signals");
  if (setup.identity) {
    if (SetupFailure failure = become(*setup.identity); failure.stage != nullptr) return failure;
  }
  if (setup.isNoNewPrivs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return failed("no_new_privs");
  // Both name the pid that the program will have: exec(2) keeps it.
  if (!setNumber("COVET_WORKER", getpid())) return failed("environment");
  if (setup.listenFds) {
    if (!setNumber("LISTEN_PID", getpid()) || !setNumber("LISTEN_FDS", *setup.listenFds)) return failed("environment");
  }
  if (setup.cwd != nullptr && chdir(setup.cwd) < 0) return failed("cwd");
  return {};
}

}  // namespace covet
