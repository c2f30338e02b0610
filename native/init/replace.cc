// One covet-init in place of another, in the same process: nothing that it holds is closed, and nobody's parent changes. See init.h, state.h.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "init/init.h"
#include "init/say.h"
#include "sys/pidfd.h"

namespace covet {

namespace {

constexpr int CHECK_MS = 5'000;

// `arg0=node arg1=supervisor.mjs`: a key has one value.
Program argumentsOf(const Message& message, const std::string& key) {
  Program program;
  while (const std::string* value = message.find(key + std::to_string(program.size()))) program.push_back(*value);
  return program;
}

void addArguments(Writer& text, const std::string& key, const Program& program) {
  for (size_t i = 0; i < program.size(); i++) text.add(key + std::to_string(i), program[i]);
}

std::vector<char*> pointers(const Program& program) {
  std::vector<char*> list;
  for (const std::string& text : program) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// Whether that covet-init reads the state, asked of it as a child: a release that cannot is not given the process. It takes milliseconds, and
// is the only time but the supervisor's exec that covet-init waits.
Status tryOut(const std::string& path, int stateFd, int lock) {
  Program program = {path, "--check-state", std::to_string(stateFd)};
  std::vector<char*> argv = pointers(program);
  pid_t pid = fork();
  if (pid < 0) return lastError("fork");
  if (pid == 0) {
    // A lock is everybody's who has its descriptor: should this covet-init be killed now, the next one must find it free.
    if (int null = open("/dev/null", O_RDONLY | O_CLOEXEC); lock >= 0 && null >= 0) dup2(null, lock);
    execv(path.c_str(), argv.data());
    _exit(127);
  }
  Result<Fd> pidfd = pidfdOpen(pid);
  pollfd end = {pidfd.ok() ? pidfd->get() : -1, POLLIN, 0};
  int ended = poll(&end, 1, CHECK_MS);
  if (ended <= 0) kill(pid, SIGKILL);  // our child, not reaped yet
  int status = 0;
  waitpid(pid, &status, 0);
  if (ended <= 0) return SysError{ETIMEDOUT, "check"};
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? Status() : SysError{ENOEXEC, "check"};
}

}  // namespace

// The next supervisor is another program; this one is about to end for it, which is no death.
Status Init::changeProgram(const Message& request) {
  Program program = argumentsOf(request, "arg");
  if (program.empty() || options_.supervisorFd >= 0 || options_.isOnce) return SysError{EINVAL, "program"};
  fallback_ = std::move(program_);
  program_ = std::move(program);
  isExpected_ = true;
  link_.send(Writer("ok", request.id).take());
  return {};
}

// `check` only asks the other one; `replace` is answered by whoever is covet-init then: `ok` by the new one, an error by this one, which goes on.
Status Init::replace(const Message& request) {
  bool isCheck = request.verb == "check";
  std::string path = request.text("path");
  if (path.empty() || options_.supervisorFd >= 0 || options_.isOnce || state_ != InitState::Serving) return SysError{EINVAL, "replace"};
  if (!link_.isIdle()) return SysError{EAGAIN, "replace"};
  StateWriter writer;
  store(writer, request.id);
  Result<Fd> state = writer.seal();
  if (!state.ok()) return state.error();
  std::vector<int> inherited = writer.fds();
  inherited.push_back(state->get());
  Program program = {path, "--state", std::to_string(state->get())};
  if (options_.lock != nullptr) program.insert(program.end(), {"--lock", options_.lock});
  if (options_.log != nullptr) program.insert(program.end(), {"--log", options_.log});
  if (options_.isService) program.emplace_back("--service");
  program.emplace_back("--");
  program.insert(program.end(), program_.begin(), program_.end());
  std::vector<char*> argv = pointers(program);
  for (int fd : inherited) (void)setCloexec(fd, false);
  Status checked = tryOut(path, state->get(), lock_.get());
  // The blocked signals stay blocked and wait for the next signalfd; the environment is the same.
  if (checked.ok() && !isCheck) {
    execv(path.c_str(), argv.data());
    checked = lastError("execve");
  }
  for (int fd : inherited) (void)setCloexec(fd, true);
  if (checked.ok()) link_.send(Writer("ok", request.id).take());
  return checked;
}

Writer Init::describeSelf() const {
  Writer self("init", 0);
  self.add("version", WIRE_VERSION).add("ready", wasReady_ ? 1 : 0).add("signal", pendingSignal_);
  self.add("supervisor", supervisorPid_).add("started", startedAtMs_);
  return self;
}

void Init::storeHeld(StateWriter& to) const {
  notes_.tell(to, 0);
  groups_.tell(to, 0);
  workers_.store(to);
}

// For the covet-init that takes this one's place in this process, and goes on with its supervisor.
void Init::store(StateWriter& to, uint64_t replyId) const {
  Writer self = describeSelf();
  self.add("reply", static_cast<int64_t>(replyId));
  addArguments(self, "fallback", fallback_);
  if (lock_) to.send(self.take(), {link_.fd(), supervisorPidfd_.get(), lock_.get()});
  else to.send(self.take(), {link_.fd(), supervisorPidfd_.get()});
  groups_.storeActivated(to);
  storeHeld(to);
  fdStore_.tell(to);
}

// For the covet-init that follows when this one is killed: with the supervisor's pidfd, if there is one, to end it by.
StateWriter Init::kept() const {
  StateWriter to;
  if (supervisorPidfd_) to.send(describeSelf().take(), {supervisorPidfd_.get()});
  else to.send(describeSelf().take());
  storeHeld(to);
  return to;
}

bool Init::check(int stateFd) { return loop_.open().ok() && restore(stateFd).ok(); }

Status Init::restore(int stateFd) {
  Fd file(stateFd);
  Result<std::vector<StateLine>> lines = readState(stateFd);
  return lines.ok() ? restore(*lines) : lines.error();
}

Status Init::restore(const std::vector<StateLine>& lines) {
  std::set<int> owned, others;
  for (const auto& [message, fds] : lines) {
    for (int fd : fds) (void)setCloexec(fd, true);
    Status restored;
    bool isOwned = true;
    if (message.verb == "init") restored = restoreSelf(message, fds);
    else if (message.verb == "note") notes_.restore(message);
    else if (message.verb == "group" || message.verb == "member") restored = groups_.restore(message, fds);
    else if (message.verb == "worker") restored = workers_.restore(message, fds);
    else if (message.verb == "activated" && fds.size() == 1) groups_.activate(Fd(fds[0]));
    else isOwned = fdStore_.restore(message, fds);
    if (!restored.ok()) return restored;
    (isOwned ? owned : others).insert(fds.begin(), fds.end());
  }
  // Of lines that a later release added: kept open it would be a socket that nobody accepts from, or a pipe that nobody reads.
  for (int fd : others) {
    if (!owned.contains(fd)) fdStore_.letGo(Fd(fd));
  }
  return {};
}

// Without descriptors the one before was killed and its supervisor became covet-init; with one, that supervisor's pidfd, a service manager
// started this one. Either way the next supervisor is started. With the wire to one it goes on; the lock is missing where another had it.
Status Init::restoreSelf(const Message& told, const std::vector<int>& fds) {
  auto ready = told.number("ready", 0, 1), signal = told.number("signal", 0, SIGRTMAX);
  if (!ready || !signal) return SysError{EINVAL, "restore"};
  wasReady_ = *ready == 1;
  pendingSignal_ = static_cast<int>(*signal);
  fallback_ = argumentsOf(told, "fallback");
  if (fds.empty()) return {};
  if (fds.size() == 1) {
    supervisorPidfd_.reset(fds[0]);
    return {};
  }
  auto supervisor = told.number("supervisor", 1, INT32_MAX), started = told.number("started", 0, INT64_MAX);
  auto reply = told.number("reply", 0, INT64_MAX);
  if (!supervisor || !started || !reply || fds.size() > 3) return SysError{EINVAL, "restore"};
  supervisorPid_ = static_cast<pid_t>(*supervisor);
  startedAtMs_ = *started;
  supervisorPidfd_.reset(fds[1]);
  if (fds.size() == 3) lock_.reset(fds[2]);
  replyId_ = static_cast<uint64_t>(*reply);
  return link_.open(Fd(fds[0]));
}

}  // namespace covet
