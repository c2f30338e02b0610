// covet-exec: makes a process into a worker, then becomes its program. The supervisor starts it with the worker's descriptors at 0, 1,
// 2 … keep-max; it forks and is gone, so that covet-init, a child subreaper, is the worker's parent from its first instant.
//
//   covet-exec --report N --keep-max M [--cwd D] [--cgroup P] [--uid U --gid G [--groups a,b]] [--nofile N] [--cpus 0,2-3]
//              [--listen-fds K] [--no-new-privs] -- program args…
//
// The report pipe's reader is covet-init: "pid <n>\n" before the exec, whose success closes the pipe; or "error <stage> <errno>\n".
// A worker that cannot be reported is not started. Exit codes: 0 forked, 1 could not, 2 usage, in the child 127.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "options.h"
#include "sys/sanitize.h"

namespace {

bool report(int fd, const char* line) {
  size_t size = strlen(line);
  // Shorter than PIPE_BUF: whole or not at all.
  return write(fd, line, size) == static_cast<ssize_t>(size);
}

void reportError(int fd, const char* stage, int code) {
  char line[64];
  snprintf(line, sizeof line, "error %s %d\n", stage, code);
  report(fd, line);
}

[[noreturn]] void becomeProgram(const covet::Setup& setup) {
  covet::SetupFailure failure = covet::setUp(setup);
  if (failure.stage != nullptr) {
    reportError(setup.reportFd, failure.stage, failure.code);
    _exit(127);
  }
  char line[32];
  snprintf(line, sizeof line, "pid %d\n", getpid());
  if (!report(setup.reportFd, line)) _exit(127);  // its record was let go: nobody would watch over this worker
  execvp(setup.program[0], setup.program);
  reportError(setup.reportFd, "exec", errno);
  _exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  covet::sanitizerSelfCheck(argc, argv);
  covet::Setup setup;
  if (const char* problem = covet::parseOptions(argc, argv, setup); problem != nullptr) {
    fprintf(stderr, "covet-exec: %s.\n", problem);
    if (setup.reportFd >= 0) reportError(setup.reportFd, "arguments", EINVAL);
    return 2;
  }
  pid_t child = fork();
  if (child == 0) becomeProgram(setup);
  if (child > 0) _exit(0);
  reportError(setup.reportFd, "fork", errno);
  return 1;
}
