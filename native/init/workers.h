// The workers that covet-init is parent of, by the key that the supervisor gave before the spawn.
//
//   made ──pid line──► starting ──report closed by exec──► running ──reaped──► exited ──forget──► gone
//     └──error line, or closed without a pid──► failed ──forget──► gone
//
// A record keeps what a later supervisor needs to adopt the worker: its channel, hand-off, log pipes and a pidfd. It is made before the
// spawn and let go by `forget` alone, so that nothing running is ever unknown. A pid is learnt before its process can have been
// reaped: the child writes its line before anything of the app runs, and the reaper has every report read before it reaps.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "init/link.h"
#include "init/log_spill.h"
#include "init/loop.h"
#include "init/wire.h"

namespace covet {

class Workers;

enum class WorkerState { Made, Starting, Running, Failed, Exited };

class Worker : public Watcher {
 public:
  Worker(Workers& workers, std::string key) : workers_(workers), key_(std::move(key)) {}
  void onEvents(uint32_t events) override;

  Workers& workers_;
  std::string key_;
  WorkerState state_ = WorkerState::Made;
  Fd channel_, handoff_, out_, err_, report_, pidfd_;
  std::string line_;  // of the report, so far
  std::string outPath_, errPath_;  // where its lines go while there is no supervisor
  std::string stage_;
  int errno_ = 0;
  pid_t pid_ = 0;
  unsigned long long start_ = 0;
  int status_ = 0;
  bool isOurs_ = true;    // our child, reaped here
  int64_t goneAtMs_ = 0;  // when a worker that is somebody else's child was seen to have ended
};

class Workers {
 public:
  // `areOurs`: false when covet-init is the supervisor's child, whose workers it cannot reap. So are those whose parent was a covet-init that
  // is gone.
  Workers(Loop& loop, Link& link, bool areOurs) : loop_(loop), link_(link), spill_(loop), areOurs_(areOurs) {}

  // Each answers its request on the link, when it succeeded.
  Status make(const Message& request);
  Status forget(const Message& request);

  // A hello's part: every worker, and how it ended if it did.
  void tell(PacketSink& to, uint64_t id) const;
  // A state's part, and what takes one of its lines back. EINVAL.
  void store(PacketSink& to) const;
  Status restore(const Message& told, const std::vector<int>& fds);
  // Their parent was a covet-init that is gone: whoever has them now reaps them.
  void disown();
  size_t packets() const { return 2 * workers_.size(); }

  // Between supervisors the workers' lines are written to their files from here.
  void beginSpill();
  void endSpill() { spill_.end(); }

  // Reads every report that is open; after it, the pid of each worker that ever ran is known.
  void readReports();
  // False when the pid is no worker's.
  bool reaped(pid_t pid, int status);

  bool isAnyAlive() const;
  void signalAll(int signal);
  // Those that did not report yet never will: covet-exec does not start what it cannot report.
  void abandonUnreported();

  // The next moment at which expire() has something to do; -1: none.
  int64_t deadlineMs() const;
  void expire(int64_t atMs);

 private:
  friend class Worker;
  void readReport(Worker& worker);
  void takeLine(Worker& worker, std::string_view line);
  void takePid(Worker& worker, pid_t pid);
  void reportEnded(Worker& worker);
  void pidfdEvents(Worker& worker);
  void exited(Worker& worker, int status);
  void tellRunning(const Worker& worker);
  void tellEnd(PacketSink& to, uint64_t id, const Worker& worker) const;
  Status watch(Worker& worker);

  Loop& loop_;
  Link& link_;
  LogSpill spill_;
  bool areOurs_;
  int endSignal_ = 0;  // what signalAll sent: a worker that reports later gets it then
  std::map<std::string, std::unique_ptr<Worker>> workers_;
};

}  // namespace covet
