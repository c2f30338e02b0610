// The command line of covet-exec; see options.h.
#include "options.h"

#include <getopt.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

namespace covet {

namespace {

// A number from 0 to `max` that ends at `end`; moves `at` behind it.
bool number(const char*& at, unsigned long max, unsigned long& into) {
  if (*at < '0' || *at > '9') return false;
  char* end;
  errno = 0;
  into = strtoul(at, &end, 10);
  if (errno != 0 || into > max) return false;
  at = end;
  return true;
}

template <typename T>
bool whole(const char* text, unsigned long max, T& into) {
  unsigned long value;
  if (!number(text, max, value) || *text != '\0') return false;
  into = static_cast<T>(value);
  return true;
}

template <typename T>
bool whole(const char* text, unsigned long max, std::optional<T>& into) {
  T value;
  if (!whole(text, max, value)) return false;
  into = value;
  return true;
}

// "4,24,27"; nothing at all is no group.
bool groupList(const char* at, std::vector<gid_t>& into) {
  while (*at != '\0') {
    unsigned long gid;
    if (!number(at, UINT_MAX - 1, gid)) return false;
    into.push_back(static_cast<gid_t>(gid));
    if (*at == ',' && at[1] != '\0') at++;
    else if (*at != '\0') return false;
  }
  return true;
}

// "0,2-3", as in /sys/devices/system/cpu/online.
bool cpuList(const char* at, std::optional<cpu_set_t>& into) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (;;) {
    unsigned long first, last;
    if (!number(at, CPU_SETSIZE - 1, first)) return false;
    last = first;
    if (*at == '-' && (!number(++at, CPU_SETSIZE - 1, last) || last < first)) return false;
    for (; first <= last; first++) CPU_SET(first, &cpus);
    if (*at == '\0') break;
    if (*at++ != ',') return false;
  }
  into = cpus;
  return true;
}

const option LONG_OPTIONS[] = {
    {"report", required_argument, nullptr, 'r'},    {"keep-max", required_argument, nullptr, 'k'},
    {"cwd", required_argument, nullptr, 'd'},       {"uid", required_argument, nullptr, 'u'},
    {"gid", required_argument, nullptr, 'g'},       {"groups", required_argument, nullptr, 'G'},
    {"nofile", required_argument, nullptr, 'n'},    {"cpus", required_argument, nullptr, 'c'},
    {"listen-fds", required_argument, nullptr, 'l'}, {"no-new-privs", no_argument, nullptr, 'p'},
    {"cgroup", required_argument, nullptr, 'C'},    {nullptr, 0, nullptr, 0},
};

}  // namespace

const char* parseOptions(int argc, char** argv, Setup& into) {
  constexpr unsigned long ID_MAX = UINT_MAX - 1;  // (uid_t)-1 means "leave it"
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::vector<gid_t> groups;
  opterr = 0;
  // '+': stop at the program, whose own options are none of ours.
  for (int name; (name = getopt_long(argc, argv, "+", LONG_OPTIONS, nullptr)) != -1;) {
    switch (name) {
      case 'r': if (!whole(optarg, INT_MAX, into.reportFd)) return "Expected --report to be a descriptor"; break;
      case 'k': if (!whole(optarg, INT_MAX - 1, into.keepMax)) return "Expected --keep-max to be a descriptor"; break;
      case 'd': into.cwd = optarg; break;
      case 'C': into.cgroupProcs = optarg; break;
      case 'u': if (!whole(optarg, ID_MAX, uid)) return "Expected --uid to be a user's number"; break;
      case 'g': if (!whole(optarg, ID_MAX, gid)) return "Expected --gid to be a group's number"; break;
      case 'G': if (!groupList(optarg, groups)) return "Expected --groups to be numbers joined by commas"; break;
      case 'n': if (!whole(optarg, LONG_MAX, into.nofile)) return "Expected --nofile to be a number"; break;
      case 'c': if (!cpuList(optarg, into.cpus)) return "Expected --cpus to be a list like 0,2-3"; break;
      case 'l': if (!whole(optarg, INT_MAX, into.listenFds)) return "Expected --listen-fds to be a number"; break;
      case 'p': into.isNoNewPrivs = true; break;
      default: return "Unknown option, or one without its value";
    }
  }
  if (into.reportFd < 0) return "Expected --report FD";
  if (uid.has_value() != gid.has_value()) return "Expected --uid and --gid together";
  if (uid) into.identity = Identity{*uid, *gid, std::move(groups)};
  if (optind >= argc) return "Expected a program after --";
  into.program = argv + optind;
  return nullptr;
}

}  // namespace covet
