// Workers: requests, signals and what is told; see workers.h. Their reports and ends are in worker_report.cc.
#include "init/workers.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <csignal>

#include "sys/pidfd.h"

namespace covet {

namespace {

constexpr size_t WORKERS_MAX = 8'192;
constexpr size_t PATH_BYTES_MAX = 4'096;

struct Pipe {
  Fd reader, writer;
};

// The reader is ours and never waits; the writer is a program's stdout and must.
Result<Pipe> openPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return lastError("pipe2");
  Pipe made{Fd(ends[0]), Fd(ends[1])};
  if (Status set = setNonblocking(made.reader.get()); !set.ok()) return set.error();
  return made;
}

bool isAlive(WorkerState state) { return state == WorkerState::Made || state == WorkerState::Starting || state == WorkerState::Running; }

}  // namespace

Status Workers::make(const Message& request) {
  std::string key = request.text("key");
  if (key.empty() || key.size() > KEY_BYTES_MAX) return SysError{EINVAL, "worker"};
  std::string outPath = request.text("out"), errPath = request.text("err");
  if (outPath.size() > PATH_BYTES_MAX || errPath.size() > PATH_BYTES_MAX) return SysError{ENAMETOOLONG, "worker"};
  if (workers_.contains(key)) return SysError{EEXIST, "worker"};
  if (workers_.size() >= WORKERS_MAX) return SysError{ENOSPC, "worker"};
  Result<SocketPair> channel = socketPair(PairKind::Stream), handoff = socketPair(PairKind::Seqpacket);
  Result<Pipe> out = openPipe(), err = openPipe(), report = openPipe();
  for (const SysError& error : {channel.error(), handoff.error(), out.error(), err.error(), report.error()}) {
    if (error.code != 0) return error;
  }
  auto worker = std::make_unique<Worker>(*this, key);
  worker->isOurs_ = areOurs_;
  worker->report_ = std::move(report->reader);
  if (Status watched = watch(*worker); !watched.ok()) return watched;
  worker->channel_ = std::move(channel->ours);
  worker->handoff_ = std::move(handoff->ours);
  worker->out_ = std::move(out->reader);
  worker->err_ = std::move(err->reader);
  worker->outPath_ = std::move(outPath);
  worker->errPath_ = std::move(errPath);
  link_.send(Writer("worker", request.id).take(),
             {worker->channel_.get(), channel->theirs.get(), worker->handoff_.get(), handoff->theirs.get(), worker->out_.get(),
              out->writer.get(), worker->err_.get(), err->writer.get(), report->writer.get()});
  workers_.emplace(std::move(key), std::move(worker));
  return {};
  // The worker's ends close here: only the packet holds them now, so their EOF means that no worker does.
}

Status Workers::forget(const Message& request) {
  auto found = workers_.find(request.text("key"));
  if (found != workers_.end()) {
    Worker& worker = *found->second;
    if (worker.state_ == WorkerState::Starting || worker.state_ == WorkerState::Running) return SysError{EBUSY, "forget"};
    if (worker.report_) loop_.unwatch(worker.report_.get());
    workers_.erase(found);
  }
  link_.send(Writer("ok", request.id).take());
  return {};
}

void Workers::beginSpill() {
  spill_.begin();
  for (const auto& [key, worker] : workers_) {
    spill_.add(worker->out_.get(), worker->outPath_);
    spill_.add(worker->err_.get(), worker->errPath_);
  }
}

bool Workers::isAnyAlive() const {
  for (const auto& [key, worker] : workers_) {
    if (isAlive(worker->state_)) return true;
  }
  return false;
}

void Workers::signalAll(int signal) {
  endSignal_ = signal;
  for (const auto& [key, worker] : workers_) {
    if (!isAlive(worker->state_) || !worker->pidfd_) continue;
    // What the worker started is asked by the worker, and killed with it: it leads a group of its own.
    if (signal == SIGKILL) (void)pidfdSignalGroup(worker->pidfd_.get(), signal);
    (void)pidfdSignal(worker->pidfd_.get(), signal);   // ESRCH: its end is about to be read
    (void)pidfdSignal(worker->pidfd_.get(), SIGCONT);  // a stopped one could not heed SIGTERM
  }
}

void Workers::abandonUnreported() {
  for (const auto& [key, worker] : workers_) {
    if (worker->state_ != WorkerState::Made) continue;
    loop_.unwatch(worker->report_.get());
    worker->report_.reset();
    worker->state_ = WorkerState::Failed;
  }
}

}  // namespace covet
