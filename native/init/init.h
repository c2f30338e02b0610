// The life of covet-init, its parts joined: the loop, the supervisor and its wire, groups, workers, signals.
//
//   serving ──supervisor died──► waiting ──backoff over──► serving
//      │                            └──SIGTERM──┐
//      ├──died under --once, or before it was ready, or embedded──► ending ──all workers gone, or killed and waited for──► exit
//      └──quit──────────────────────────────────► ending
//
// Policy-free: it forwards signals while a supervisor is there to decide, and decides alone only how to end.
#pragma once

#include "init/groups.h"
#include "init/link.h"
#include "init/loop.h"
#include "init/notes.h"
#include "init/options.h"
#include "init/reaper.h"
#include "init/supervisor_process.h"
#include "init/workers.h"

namespace covet {

enum class InitState { Serving, Waiting, Ending, Done };

class Init : LinkEvents, ReaperEvents, Watcher {
 public:
  explicit Init(const Options& options);

  // Runs to the end; the exit code.
  int run();

 private:
  void onPacket(Packet packet) override;
  void onLinkEnd(const char* why) override;
  void onChildReaped(pid_t pid, int status) override;
  void onEvents(uint32_t events) override;

  Status open();
  Status startSupervisor();
  void supervisorDied(int status);
  void onSignal(int signal);
  void tellSignal(int signal);
  void answer(const Message& request);
  Status perform(const Message& request);
  void tellHeld(uint64_t id);
  void becomeReady();
  void end(int code, int signal, int64_t graceMs);
  void expire();
  int64_t deadlineMs() const;
  int failStart(const char* what, const SysError& error);
  void tellStarter(const char* line);

  const Options options_;
  Loop loop_;
  Link link_;
  Groups groups_;
  Workers workers_;
  Notes notes_;
  Fd signals_;
  Fd ready_;
  InitState state_ = InitState::Serving;
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
