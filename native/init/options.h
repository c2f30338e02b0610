// The command line of covet-init.
//
//   covet-init [--ready-fd N] [--once] --lock PATH [--log PATH] -- program args…
//   covet-init --supervisor-fd N [--lock PATH] [--log PATH]
//   covet-init --state N …                      in place of another covet-init: state.h
//   covet-init --check-state N                  exit 0 when it could be
//   covet-init --service …                      by a service manager: service.h
//   covet-init --sweep                          after that service's end: sweep.h
#pragma once

namespace covet {

struct Options {
  const char* lock = nullptr;
  const char* log = nullptr;
  int readyFd = -1;
  int supervisorFd = -1;  // embedded: the parent is the supervisor
  int stateFd = -1;
  int checkFd = -1;
  bool isService = false;
  bool isSweep = false;
  bool isOnce = false;    // `run`: a supervisor that died is not started again
  char** program = nullptr;
};

// Fills `into`. Returns the sentence that says what is wrong, or null.
const char* parseOptions(int argc, char** argv, Options& into);

}  // namespace covet
