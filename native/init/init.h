// The life of covet-init, its parts joined: the loop, the supervisor and its wire, groups, workers, signals.
//
//   serving ──supervisor died──► waiting ──backoff over──► serving ──replace──► the next covet-init, in this process
//      │                            └──SIGTERM──┐
//      ├──died under --once, or before it was ready, or embedded──► ending ──all workers gone, or killed and waited for──► exit
//      └──quit──────────────────────────────────► ending
//
// Under a service manager (service.h) it may be killed as well: the manager keeps what it holds, and the next one begins at `serving` with it.
// Elsewhere a record (record.h) says what of it the workers have still.
//
// Policy-free: it forwards signals while a supervisor is there to decide, and decides alone only how to end.
#pragma once

#include "init/fd_store.h"
#include "init/groups.h"
#include "init/link.h"
#include "init/loop.h"
#include "init/notes.h"
#include "init/options.h"
#include "init/reaper.h"
#include "init/record.h"
#include "init/service.h"
#include "init/state.h"
#include "init/supervisor_process.h"
#include "init/workers.h"

namespace covet {

enum class InitState { Serving, Waiting, Ending, Done };

class Init : LinkEvents, ReaperEvents, Watcher {
 public:
  explicit Init(const Options& options);

  // Runs to the end; the exit code. `lock` is kept, and goes on to a covet-init that takes this one's place.
  int run(Fd lock);
  // Whether the state of another covet-init can be taken over. Nobody is told anything; the process must end without letting go of it.
  bool check(int stateFd);

 private:
  void onPacket(Packet packet) override;
  void onLinkEnd(const char* why) override;
  void onChildReaped(pid_t pid, int status) override;
  void onEvents(uint32_t events) override;

  Status open();
  Status startSupervisor();
  void supervisorDied(int status);
  void startAgainIn(int64_t delayMs);
  Status changeProgram(const Message& request);
  Status replace(const Message& request);
  Status begin(std::string& doing);
  Status takeOver();
  Status openService();
  Status takeBack(std::vector<NamedFd>& given);
  void endSupervisor();
  void turn();
  Status restore(int stateFd);
  Status restore(const std::vector<StateLine>& lines);
  Status restoreSelf(const Message& told, const std::vector<int>& fds);
  void store(StateWriter& to, uint64_t replyId) const;
  StateWriter kept() const;
  void storeHeld(StateWriter& to) const;
  Writer describeSelf() const;
  void onSignal(int signal);
  void tellSignal(int signal);
  void answer(const Message& request);
  Status perform(const Message& request);
  void tellHeld(uint64_t id);
  void becomeReady();
  void end(int code, int signal, int64_t graceMs);
  void expire();
  int64_t deadlineMs() const;
  int failStart(const std::string& doing, const SysError& error);
  void tellStarter(const char* line);

  const Options options_;
  Loop loop_;
  Link link_;
  Groups groups_;
  Workers workers_;
  Notes notes_;
  Service service_;
  FdStore fdStore_;
  Record record_;
  Fd signals_;
  Fd lock_;
  Program program_;
  Program fallback_;  // of a supervisor that is on trial: the one before it, until it is ready
  Fd ready_;
  InitState state_ = InitState::Serving;
  uint64_t replyId_ = 0;     // of the `replace` that this covet-init came of
  bool isExpected_ = false;  // the supervisor was asked for its successor, and its end is no death
  pid_t supervisorPid_ = 0;
  Fd supervisorPidfd_;
  Backoff backoff_;
  Deaths deaths_;
  bool wasReady_ = false;
  int64_t startedAtMs_ = 0;
  int64_t deadlineMs_ = -1;  // of Waiting: the next start; of Ending: the kill, then the last wait
  bool isKilled_ = false;
  int pendingSignal_ = 0;  // SIGTERM or SIGINT that no `quit` has followed: a supervisor that died over it leaves it to the next
  int exitCode_ = 0;
};

}  // namespace covet
