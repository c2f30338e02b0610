// The clean slate; see exec.h.
#include "exec.h"

#include <csignal>
#include <unistd.h>

#include "cloexec.h"
#include "fd.h"

namespace covet {

namespace {

constexpr int SIGNAL_MAX = 64;

std::vector<char*> pointers(std::span<const std::string> texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// Node ignores SIGPIPE and SIGXFSZ; a program that it starts would inherit that. sigprocmask is this thread's on Linux.
class CleanSignals {
 public:
  CleanSignals() {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, &mask_);
    for (int number = 1; number <= SIGNAL_MAX; number++) {
      struct sigaction before;
      if (sigaction(number, nullptr, &before) < 0 || before.sa_handler != SIG_IGN) continue;
      ignored_.push_back(number);
      signal(number, SIG_DFL);
    }
  }
  ~CleanSignals() {
    for (int number : ignored_) signal(number, SIG_IGN);
    sigprocmask(SIG_SETMASK, &mask_, nullptr);
  }
  CleanSignals(const CleanSignals&) = delete;
  CleanSignals& operator=(const CleanSignals&) = delete;

 private:
  sigset_t mask_;
  std::vector<int> ignored_;
};

}  // namespace

SysError execClean(const std::string& path, std::span<const std::string> argv, std::span<const std::string> env,
                   std::span<const int> keep) {
  std::vector<char*> arguments = pointers(argv);
  std::vector<char*> environment = pointers(env);
  if (Status set = setCloexecFrom(STDERR_FILENO + 1); !set.ok()) return set.error();
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) (void)setCloexec(fd, false);  // EBADF: closed, so not inherited
  SysError failure;
  {
    for (int fd : keep) {
      if (Status set = setCloexec(fd, false); !set.ok()) failure = set.error();
    }
    CleanSignals clean;
    if (failure.code == 0) {
      execve(path.c_str(), arguments.data(), environment.data());
      failure = lastError("execve");
    }
  }
  for (int fd : keep) {
    if (fd > STDERR_FILENO) (void)setCloexec(fd, true);
  }
  return failure;
}

}  // namespace covet
