// What is told of workers: to a supervisor, and to the next covet-init; see workers.h.
#include <sys/epoll.h>

#include <array>
#include <string_view>

#include "init/workers.h"

namespace covet {

namespace {

constexpr std::array<std::string_view, 5> STATES = {"made", "starting", "running", "failed", "exited"};  // by WorkerState
constexpr size_t ENDS = 4;  // channel, hand-off, out, err

std::optional<WorkerState> stateOf(std::string_view name) {
  for (size_t i = 0; i < STATES.size(); i++) {
    if (STATES[i] == name) return static_cast<WorkerState>(i);
  }
  return std::nullopt;
}

}  // namespace

void Workers::tell(PacketSink& to, uint64_t id) const {
  for (const auto& [key, entry] : workers_) {
    const Worker& worker = *entry;
    bool hasRun = worker.state_ == WorkerState::Running || worker.state_ == WorkerState::Exited;
    Writer text("worker", id);
    text.add("key", key).add("pid", hasRun ? worker.pid_ : 0).add("start", hasRun ? static_cast<int64_t>(worker.start_) : 0);
    text.add("out", worker.outPath_).add("err", worker.errPath_);
    int channel = worker.channel_.get(), handoff = worker.handoff_.get(), out = worker.out_.get(), err = worker.err_.get();
    if (hasRun && worker.pidfd_) to.send(text.take(), {channel, handoff, out, err, worker.pidfd_.get()});
    else to.send(text.take(), {channel, handoff, out, err});
    tellEnd(to, id, worker);
  }
}

void Workers::tellRunning(const Worker& worker) {
  Writer text("running", 0);
  text.add("key", worker.key_).add("pid", worker.pid_).add("start", static_cast<int64_t>(worker.start_));
  if (worker.pidfd_) link_.send(text.take(), {worker.pidfd_.get()});
  else link_.send(text.take());
}

void Workers::tellEnd(PacketSink& to, uint64_t id, const Worker& worker) const {
  if (worker.state_ == WorkerState::Failed) {
    to.send(Writer("failed", id).add("key", worker.key_).add("stage", worker.stage_).add("errno", worker.errno_).take());
  } else if (worker.state_ == WorkerState::Exited) {
    to.send(Writer("exited", id).add("key", worker.key_).add("pid", worker.pid_).add("status", worker.status_).take());
  }
}

void Workers::store(PacketSink& to) const {
  for (const auto& [key, entry] : workers_) {
    const Worker& worker = *entry;
    Writer text("worker", 0);
    text.add("key", key).add("state", STATES[static_cast<size_t>(worker.state_)]).add("ours", worker.isOurs_ ? 1 : 0);
    text.add("pid", worker.pid_).add("start", static_cast<int64_t>(worker.start_)).add("status", worker.status_);
    text.add("stage", worker.stage_).add("errno", worker.errno_).add("line", worker.line_);
    text.add("out", worker.outPath_).add("err", worker.errPath_);
    text.add("pidfd", worker.pidfd_ ? 1 : 0).add("report", worker.report_ ? 1 : 0);
    int channel = worker.channel_.get(), handoff = worker.handoff_.get(), out = worker.out_.get(), err = worker.err_.get();
    int pidfd = worker.pidfd_.get(), report = worker.report_.get();
    if (worker.pidfd_ && worker.report_) to.send(text.take(), {channel, handoff, out, err, pidfd, report});
    else if (worker.pidfd_) to.send(text.take(), {channel, handoff, out, err, pidfd});
    else if (worker.report_) to.send(text.take(), {channel, handoff, out, err, report});
    else to.send(text.take(), {channel, handoff, out, err});
  }
}

Status Workers::restore(const Message& told, const std::vector<int>& fds) {
  auto state = stateOf(told.text("state"));
  auto ours = told.number("ours", 0, 1), pid = told.number("pid", 0, INT32_MAX), start = told.number("start", 0, INT64_MAX);
  auto status = told.number("status", INT32_MIN, INT32_MAX), code = told.number("errno", 0, INT32_MAX);
  auto pidfd = told.number("pidfd", 0, 1), report = told.number("report", 0, 1);
  std::string key = told.text("key");
  bool isWhole = state && ours && pid && start && status && code && pidfd && report && !key.empty();
  if (!isWhole || fds.size() != ENDS + static_cast<size_t>(*pidfd + *report)) return SysError{EINVAL, "restore"};
  auto worker = std::make_unique<Worker>(*this, key);
  worker->state_ = *state;
  worker->isOurs_ = *ours == 1;
  worker->pid_ = static_cast<pid_t>(*pid);
  worker->start_ = static_cast<unsigned long long>(*start);
  worker->status_ = static_cast<int>(*status);
  worker->errno_ = static_cast<int>(*code);
  worker->stage_ = told.text("stage");
  worker->line_ = told.text("line");
  worker->outPath_ = told.text("out");
  worker->errPath_ = told.text("err");
  worker->channel_.reset(fds[0]);
  worker->handoff_.reset(fds[1]);
  worker->out_.reset(fds[2]);
  worker->err_.reset(fds[3]);
  if (*pidfd == 1) worker->pidfd_.reset(fds[ENDS]);
  if (*report == 1) worker->report_.reset(fds.back());
  if (Status watched = watch(*worker); !watched.ok()) return watched;
  workers_.insert_or_assign(std::move(key), std::move(worker));
  return {};
}

void Workers::disown() {
  for (const auto& [key, worker] : workers_) {
    worker->isOurs_ = false;
    if (!worker->report_) (void)watch(*worker);
  }
}

// The report while there is one, then the end of a worker that is somebody else's child.
Status Workers::watch(Worker& worker) {
  if (worker.report_) return loop_.watch(worker.report_.get(), EPOLLIN, worker);
  if (worker.isOurs_ || worker.state_ != WorkerState::Running || !worker.pidfd_) return {};
  return loop_.watch(worker.pidfd_.get(), EPOLLIN | EPOLLET, worker);
}

}  // namespace covet
