// Runs a program and prints what it cost, as JSON: CPU (user and system, of it and all its waited-for children) and wall time.
// Its output goes to /dev/null.
//
//   cost PROGRAM ARGUMENT…
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return fprintf(stderr, "usage: cost PROGRAM ARGUMENT…\n"), 2;
  timespec began, ended;
  clock_gettime(CLOCK_MONOTONIC, &began);
  pid_t pid = fork();
  if (pid < 0) return perror("fork"), 1;
  if (pid == 0) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    _exit(127);
  }
  int status = 0;
  rusage used{};
  if (wait4(pid, &status, 0, &used) < 0) return perror("wait4"), 1;
  clock_gettime(CLOCK_MONOTONIC, &ended);
  auto micros = [](timeval t) { return long(t.tv_sec) * 1'000'000 + long(t.tv_usec); };
  printf("{\"cpuMicros\":%ld,\"wallMicros\":%ld,\"code\":%d}\n", micros(used.ru_utime) + micros(used.ru_stime), (ended.tv_sec - began.tv_sec) * 1'000'000L + (ended.tv_nsec - began.tv_nsec) / 1'000,
         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 0;
}
