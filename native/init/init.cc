// Start, supervisor and end; see init.h. What the supervisor asks is in requests.cc.
#include "init/init.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <csignal>

#include "init/say.h"
#include "sys/pidfd.h"

namespace covet {

namespace {

constexpr int64_t TERM_GRACE_MS = 5'000;  // what a worker has between SIGTERM and SIGKILL when nobody drains it
constexpr int64_t KILL_WAIT_MS = 1'000;   // a process in uninterruptible sleep does not die; its parent may
constexpr int EXIT_NOT_STARTED = 1;
constexpr int EXIT_SUPERVISOR_DIED = 125;
constexpr int64_t TRIAL_MS = 30'000;      // for a new supervisor to be ready

Program programOf(char** argv) {
  Program program;
  for (; argv != nullptr && *argv != nullptr; argv++) program.emplace_back(*argv);
  return program;
}

}  // namespace

Init::Init(const Options& options)
    : options_(options), link_(loop_, *this), groups_(link_), workers_(loop_, link_, options.supervisorFd < 0), notes_(link_), fdStore_(service_), program_(programOf(options.program)), ready_(options.readyFd) {}

Status Init::open() {
  if (Status opened = loop_.open(); !opened.ok()) return opened;
  sigset_t ours;
  sigemptyset(&ours);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&ours, signal);
  if (sigprocmask(SIG_SETMASK, &ours, nullptr) < 0) return lastError("sigprocmask");
  signals_.reset(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return lastError("signalfd");
  return loop_.watch(signals_.get(), EPOLLIN, *this);
}

int Init::run(Fd lock) {
  if (lock) lock_ = std::move(lock);
  std::string doing;
  if (Status begun = begin(doing); !begun.ok()) return failStart(doing, begun.error());
  while (state_ != InitState::Done) turn();
  fdStore_.clear();
  record_.clear();
  groups_.closeAll();
  return exitCode_;
}

// `doing` is what a failure was met at.
Status Init::begin(std::string& doing) {
  doing = "start";
  if (Status opened = open(); !opened.ok()) return opened;
  if (options_.supervisorFd >= 0) {
    doing = "use the supervisor's descriptor";
    if (Status set = setNonblocking(options_.supervisorFd); !set.ok()) return set;
    return link_.open(Fd(options_.supervisorFd));
  }
  if (options_.isService) {
    doing = "speak to the service manager";
    if (Status opened = openService(); !opened.ok()) return opened;
  } else if (!options_.isOnce) {
    record_.open(options_.lock);
  }
  if (options_.stateFd >= 0) {
    doing = "take over";
    return takeOver();
  }
  doing = "run " + program_[0];
  return startSupervisor();
}

Status Init::takeOver() {
  if (Status restored = restore(options_.stateFd); !restored.ok()) return restored;
  if (Status made = groups_.restoreGuards(); !made.ok()) return made;
  if (replyId_ != 0) link_.send(Writer("ok", replyId_).take());
  reapAll(workers_, *this);  // what ended while there was none
  if (supervisorPid_ == 0 && state_ == InitState::Serving) startAgainIn(0);
  return {};
}

// Under a service manager nothing is said before what it says is kept.
void Init::turn() {
  if (service_.isOn()) link_.hold();
  loop_.turn(deadlineMs());
  expire();
  bool isKept = service_.isOn() || record_.isOn();
  if (isKept && (state_ == InitState::Serving || state_ == InitState::Waiting)) {
    StateWriter state = kept();
    fdStore_.save(state);
    record_.save(state);
  }
  if (service_.isOn()) link_.release();
}

Status Init::startSupervisor() {
  Result<SocketPair> wire = socketPair(PairKind::Seqpacket);
  if (!wire.ok()) return wire.error();
  Result<Spawned> spawned = spawnSupervisor(program_, wire->theirs.get());
  if (!spawned.ok()) return spawned.error();
  supervisorPid_ = spawned->pid;
  supervisorPidfd_ = std::move(spawned->pidfd);
  startedAtMs_ = nowMs();
  state_ = InitState::Serving;
  deadlineMs_ = fallback_.empty() ? -1 : startedAtMs_ + TRIAL_MS;
  return link_.open(std::move(wire->ours));
}

void Init::onChildReaped(pid_t pid, int status) {
  if (pid != supervisorPid_) return;  // an orphan: reaped, which is all it needed
  supervisorPid_ = 0;
  supervisorPidfd_.reset();
  link_.drain();  // `quit` may have been its last word
  link_.close();
  if (state_ == InitState::Serving) supervisorDied(status);
}

void Init::supervisorDied(int status) {
  std::string how = describeStatus(status);
  if (!wasReady_ && ready_) {
    std::string see = options_.log == nullptr ? "its output" : options_.log;
    tellStarter(("error supervisor exited (" + how + ") before it was ready; see " + see + "\n").c_str());
    return end(1, SIGTERM, TERM_GRACE_MS);
  }
  if (options_.isOnce) {
    say("The supervisor exited (%s): ending the workers.", how.c_str());
    return end(EXIT_SUPERVISOR_DIED, SIGTERM, TERM_GRACE_MS);
  }
  if (isExpected_) {
    isExpected_ = false;
    return startAgainIn(0);
  }
  if (!fallback_.empty()) {
    say("The new supervisor, %s, exited (%s) before it was ready: the one before it goes on.", program_.back().c_str(), how.c_str());
    program_ = std::move(fallback_);
    fallback_.clear();
    return startAgainIn(0);
  }
  deaths_.add(nowMs());
  int64_t delayMs = backoff_.afterLifeOf(nowMs() - startedAtMs_);
  say("The supervisor exited (%s), restarting in %lld ms.", how.c_str(), static_cast<long long>(delayMs));
  startAgainIn(delayMs);
}

void Init::startAgainIn(int64_t delayMs) {
  state_ = InitState::Waiting;
  deadlineMs_ = nowMs() + delayMs;
  workers_.beginSpill();
}

// A supervisor that closed its wire or does not read it cannot be spoken to: it is ended, and its end is reaped like any other.
void Init::onLinkEnd(const char* why) {
  if (state_ == InitState::Serving && options_.supervisorFd >= 0) return end(0, SIGTERM, TERM_GRACE_MS);
  if (state_ != InitState::Serving || supervisorPid_ == 0) return;
  if (why != nullptr) say("The supervisor is cut off (%s), killing it.", why);
  (void)pidfdSignal(supervisorPidfd_.get(), SIGKILL);
}

void Init::onEvents(uint32_t) {
  signalfd_siginfo info;
  if (read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGCHLD) reapAll(workers_, *this);
  else onSignal(static_cast<int>(info.ssi_signo));
}

void Init::onSignal(int signal) {
  switch (state_) {
    case InitState::Serving:
      if (signal != SIGHUP) pendingSignal_ = signal;
      if (link_.isOpen()) return tellSignal(signal);
      [[fallthrough]];  // cut off: nobody is there to decide
    case InitState::Waiting:
      if (signal != SIGHUP) end(0, SIGTERM, TERM_GRACE_MS);
      return;
    case InitState::Ending:
      if (signal != SIGHUP) deadlineMs_ = std::min(deadlineMs_, nowMs());  // asked twice: do not wait
      return;
    case InitState::Done:
      return;
  }
}

void Init::tellSignal(int signal) { link_.send(Writer("signal", 0).add("name", std::string("SIG") + sigabbrev_np(signal)).take()); }

void Init::end(int code, int signal, int64_t graceMs) {
  if (state_ != InitState::Ending) service_.stopping(graceMs);
  state_ = InitState::Ending;
  exitCode_ = code;
  deadlineMs_ = nowMs() + graceMs;
  isKilled_ = signal == SIGKILL;
  workers_.signalAll(signal);
}

int64_t Init::deadlineMs() const {
  int64_t workers = workers_.deadlineMs();
  bool hasOwn = state_ == InitState::Waiting || state_ == InitState::Ending || deadlineMs_ >= 0;
  if (!hasOwn) return workers;
  return workers < 0 ? deadlineMs_ : std::min(workers, deadlineMs_);
}

void Init::expire() {
  workers_.expire(nowMs());
  bool isDue = nowMs() >= deadlineMs_;
  if (state_ == InitState::Serving && isDue && deadlineMs_ >= 0) {
    deadlineMs_ = -1;
    say("The new supervisor is not ready after %lld ms, killing it.", static_cast<long long>(TRIAL_MS));
    if (supervisorPidfd_) (void)pidfdSignal(supervisorPidfd_.get(), SIGKILL);
  }
  if (state_ == InitState::Waiting && isDue) {
    if (Status started = startSupervisor(); !started.ok()) {
      int64_t delayMs = backoff_.afterLifeOf(0);
      say("Cannot start the supervisor: %s (%s), retrying in %lld ms.", started.error().text(), started.error().name(), static_cast<long long>(delayMs));
      deadlineMs_ = nowMs() + delayMs;
    }
  } else if (state_ == InitState::Ending) {
    bool isAnyAlive = workers_.isAnyAlive();
    if (!isAnyAlive) link_.close();  // a supervisor that asked to quit may wait for this
    if ((!isAnyAlive && supervisorPid_ == 0) || (isDue && isKilled_)) state_ = InitState::Done;
    else if (isDue) end(exitCode_, SIGKILL, KILL_WAIT_MS);
    if (state_ == InitState::Done && supervisorPid_ != 0) (void)pidfdSignal(supervisorPidfd_.get(), SIGKILL);
  }
}

int Init::failStart(const std::string& doing, const SysError& error) {
  std::string sentence = "Cannot " + doing + ": " + error.text() + " (" + error.name() + ")";
  say("%s", sentence.c_str());
  tellStarter(("error " + sentence + "\n").c_str());
  return EXIT_NOT_STARTED;
}

// One line to whoever started covet-init, and no more.
void Init::tellStarter(const char* line) {
  if (ready_) (void)!write(ready_.get(), line, strlen(line));  // EPIPE: it did not wait
  ready_.reset();
}

}  // namespace covet
