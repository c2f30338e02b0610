// Starting the supervisor; see supervisor_process.h.
#include "init/supervisor_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstring>

#include "init/service.h"
#include "sys/pidfd.h"

namespace covet {

namespace {

constexpr int WIRE_FD = 3;
constexpr int FAILURE_FD = 4;  // CLOEXEC: closed by a successful exec
constexpr int64_t LONG_LIFE_MS = 1'000;
constexpr int64_t BACKOFF_FIRST_MS = 100;
constexpr int64_t BACKOFF_MAX_MS = 5'000;
constexpr int64_t DEATHS_WITHIN_MS = 60'000;

void resetSignals() {
  for (int signal = 1; signal <= SIGRTMAX; signal++) std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// In the child; comes back only when it failed.
void become(char** program, int wire, int failure) {
  setsid();
  resetSignals();
  Service::forgetEnvironment();
  // Out of the way of 3 and 4 first, then into place; dup2 clears CLOEXEC, dup3 does not.
  int wireAway = fcntl(wire, F_DUPFD_CLOEXEC, FAILURE_FD + 1), failureAway = fcntl(failure, F_DUPFD_CLOEXEC, FAILURE_FD + 1);
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (wireAway < 0 || failureAway < 0 || null < 0) return;
  if (dup3(failureAway, FAILURE_FD, O_CLOEXEC) < 0 || dup2(wireAway, WIRE_FD) < 0 || dup2(null, 0) < 0) return;
  if (close_range(FAILURE_FD + 1, UINT_MAX, 0) < 0) return;
  execvp(program[0], program);
}

}  // namespace

Result<Spawned> spawnSupervisor(const Program& program, int wire) {
  std::vector<char*> argv;
  for (const std::string& text : program) argv.push_back(const_cast<char*>(text.c_str()));
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return lastError("pipe2");
  Fd reader(ends[0]), writer(ends[1]);
  pid_t pid = fork();
  if (pid < 0) return lastError("fork");
  if (pid == 0) {
    become(argv.data(), wire, writer.get());
    int code = errno;
    if (write(FAILURE_FD, &code, sizeof code) < 0) (void)!write(writer.get(), &code, sizeof code);
    _exit(127);
  }
  writer.reset();
  // Until the exec, which is microseconds away: the only moment at which covet-init waits for anyone.
  int code = 0;
  ssize_t size;
  do size = read(reader.get(), &code, sizeof code);
  while (size < 0 && errno == EINTR);
  if (size == sizeof code) {
    waitpid(pid, nullptr, 0);
    return SysError{code, "exec"};
  }
  Result<Fd> pidfd = pidfdOpen(pid);
  if (!pidfd.ok()) {
    kill(pid, SIGKILL);  // our child, not reaped yet: the number is its own
    waitpid(pid, nullptr, 0);
    return pidfd.error();
  }
  return Spawned{pid, std::move(*pidfd)};
}

std::string describeStatus(int status) {
  if (!WIFSIGNALED(status)) return "code " + std::to_string(WEXITSTATUS(status));
  const char* name = sigabbrev_np(WTERMSIG(status));
  return "signal " + std::to_string(WTERMSIG(status)) + (name == nullptr ? "" : std::string(" (SIG") + name + ")");
}

int64_t Backoff::afterLifeOf(int64_t livedMs) {
  if (livedMs > LONG_LIFE_MS) delayMs_ = 0;
  else delayMs_ = std::clamp(delayMs_ * 2, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
  return delayMs_;
}

size_t Deaths::within(int64_t nowMs) {
  std::erase_if(atMs_, [&](int64_t atMs) { return atMs + DEATHS_WITHIN_MS < nowMs; });
  return atMs_.size();
}

}  // namespace covet
