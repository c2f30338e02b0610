// What a worker's process is made into before its program runs: session, cgroup, limits, CPUs, descriptors, signals, identity.
// Runs in the child of covet-exec, single-threaded, in the order that DESIGN gives; the first step that fails names itself.
// Each step is one system call family: setsid(2), cgroups(7), setrlimit(2), sched_setaffinity(2), close_range(2), signal(7), credentials(7),
// capabilities(7), prctl(2).
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <vector>

namespace covet {

struct Identity {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

struct Setup {
  int reportFd = -1;
  int keepMax = 2;  // descriptors 0 to this one reach the program, nothing above
  const char* cwd = nullptr;
  const char* cgroupProcs = nullptr;  // the file of that name of the group it is born in
  std::optional<Identity> identity;
  std::optional<rlim_t> nofile;
  std::optional<cpu_set_t> cpus;
  std::optional<int> listenFds;
  bool isNoNewPrivs = false;
  char** program = nullptr;  // argv of the program, null-terminated
};

// The step that failed, and why; `stage` is null when all is done.
struct SetupFailure {
  const char* stage = nullptr;
  int code = 0;
};

SetupFailure setUp(const Setup& setup);

}  // namespace covet
