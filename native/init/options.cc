// The command line; see options.h.
#include "init/options.h"

#include <getopt.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

namespace covet {

namespace {

const option LONG_OPTIONS[] = {
    {"ready-fd", required_argument, nullptr, 'r'}, {"supervisor-fd", required_argument, nullptr, 's'}, {"lock", required_argument, nullptr, 'l'},
    {"log", required_argument, nullptr, 'g'},      {"once", no_argument, nullptr, 'o'},
    {"state", required_argument, nullptr, 'S'},    {"check-state", required_argument, nullptr, 'C'},   {"service", no_argument, nullptr, 'v'},
    {"sweep", no_argument, nullptr, 'w'},          {nullptr, 0, nullptr, 0},
};

bool descriptor(const char* text, int& into) {
  char* end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < 3 || value > INT_MAX) return false;
  into = static_cast<int>(value);
  return true;
}

}  // namespace

const char* parseOptions(int argc, char** argv, Options& into) {
  opterr = 0;
  // '+': stop at the program, whose own options are none of ours.
  for (int name; (name = getopt_long(argc, argv, "+", LONG_OPTIONS, nullptr)) != -1;) {
    switch (name) {
      case 'r':
        if (!descriptor(optarg, into.readyFd)) return "Expected --ready-fd to be a descriptor above 2";
        break;
      case 's':
        if (!descriptor(optarg, into.supervisorFd)) return "Expected --supervisor-fd to be a descriptor above 2";
        break;
      case 'S':
        if (!descriptor(optarg, into.stateFd)) return "Expected --state to be a descriptor above 2";
        break;
      case 'C':
        if (!descriptor(optarg, into.checkFd)) return "Expected --check-state to be a descriptor above 2";
        break;
      case 'l': into.lock = optarg; break;
      case 'g': into.log = optarg; break;
      case 'o': into.isOnce = true; break;
      case 'v': into.isService = true; break;
      case 'w': into.isSweep = true; break;
      default: return "Unknown option, or one without its value";
    }
  }
  bool hasProgram = optind < argc;
  if (into.isSweep) return hasProgram ? "Expected no program with --sweep" : nullptr;
  if (into.isService && (into.isOnce || into.supervisorFd >= 0)) return "Expected --service without --once and --supervisor-fd";
  if (into.checkFd >= 0) return hasProgram ? "Expected no program with --check-state" : nullptr;
  if (into.supervisorFd >= 0) return hasProgram ? "Expected no program with --supervisor-fd" : nullptr;
  if (!hasProgram) return "Expected a program after --";
  if (into.lock == nullptr) return "Expected --lock PATH";
  into.program = argv + optind;
  return nullptr;
}

}  // namespace covet
