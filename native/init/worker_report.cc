// A worker's beginning, from covet-exec's report pipe, and its end, from the reaper or its pidfd; see workers.h.
#include <sys/epoll.h>
#include <unistd.h>

#include <charconv>
#include <csignal>

#include "init/workers.h"
#include "sys/pidfd.h"

namespace covet {

namespace {

constexpr size_t LINE_BYTES_MAX = 128;
constexpr int64_t STATUS_WAIT_MS = 1'000;  // for the pidfd to have the status of a worker that was just reaped
constexpr int STATUS_UNKNOWN = -1;

template <typename T>
T numberOr(std::string_view text, T otherwise) {
  T value;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc() && end == text.data() + text.size() ? value : otherwise;
}

}  // namespace

void Worker::onEvents(uint32_t) {
  // A record watches one of the two at a time.
  if (report_) workers_.readReport(*this);
  else workers_.pidfdEvents(*this);
}

void Workers::readReports() {
  for (const auto& [key, worker] : workers_) {
    if (worker->report_) readReport(*worker);
  }
}

void Workers::readReport(Worker& worker) {
  char buffer[LINE_BYTES_MAX];
  ssize_t size;
  while ((size = read(worker.report_.get(), buffer, sizeof buffer)) > 0) {
    for (char c : std::string_view(buffer, static_cast<size_t>(size))) {
      if (c != '\n') {
        if (worker.line_.size() < LINE_BYTES_MAX) worker.line_ += c;
        continue;
      }
      takeLine(worker, worker.line_);
      worker.line_.clear();
    }
  }
  if (size == 0) reportEnded(worker);
}

void Workers::takeLine(Worker& worker, std::string_view line) {
  if (line.starts_with("pid ")) return takePid(worker, numberOr<pid_t>(line.substr(4), 0));
  size_t space = line.rfind(' ');
  if (!line.starts_with("error ") || space < 6 || !worker.stage_.empty()) return;
  worker.stage_ = line.substr(6, space - 6);
  worker.errno_ = numberOr(line.substr(space + 1), 0);
}

void Workers::takePid(Worker& worker, pid_t pid) {
  if (pid <= 0 || worker.state_ != WorkerState::Made) return;
  Result<Fd> pidfd = pidfdOpen(pid);
  Result<ProcessStat> stat = processStat(pid);
  // Without a pidfd (EMFILE) it is still reaped by number; it only cannot be signalled from here.
  if (pidfd.ok()) worker.pidfd_ = std::move(*pidfd);
  if (stat.ok()) worker.start_ = stat->start;
  worker.pid_ = pid;
  worker.state_ = WorkerState::Starting;
  if (endSignal_ != 0 && worker.pidfd_) (void)pidfdSignal(worker.pidfd_.get(), endSignal_);
}

// The write end is closed: the program runs, or covet-exec said why not, or died before it could say anything.
void Workers::reportEnded(Worker& worker) {
  loop_.unwatch(worker.report_.get());
  worker.report_.reset();
  if (worker.stage_.empty() && worker.state_ == WorkerState::Starting) {
    worker.state_ = WorkerState::Running;
    if (!worker.isOurs_) (void)watch(worker);
    return tellRunning(worker);
  }
  if (worker.stage_.empty()) worker.stage_ = "spawn";
  worker.state_ = WorkerState::Failed;
  tellEnd(link_, 0, worker);
}

bool Workers::reaped(pid_t pid, int status) {
  for (const auto& [key, worker] : workers_) {
    if (worker->pid_ != pid || worker->state_ == WorkerState::Exited) continue;
    // Someone still holds a copy of the write end; this process is done with it.
    if (worker->report_) readReport(*worker);
    if (worker->report_) reportEnded(*worker);
    if (worker->state_ == WorkerState::Running) exited(*worker, status);
    else worker->pid_ = 0;  // failed: the number may come again
    return true;
  }
  return false;
}

// For a worker that is somebody else's child: its pidfd is readable once it ended. The status is in /proc until its parent reaps it, and
// in the pidfd from then on (Linux 6.15); where both are missed it is unknown.
void Workers::pidfdEvents(Worker& worker) {
  if (worker.state_ != WorkerState::Running) return;
  Result<ProcessStat> stat = processStat(worker.pid_);
  if (stat.ok() && stat->state == 'Z' && stat->start == worker.start_) return exited(worker, stat->status);
  if (std::optional<int> status = pidfdExitStatus(worker.pidfd_.get()); status) return exited(worker, *status);
  if (worker.goneAtMs_ == 0) worker.goneAtMs_ = nowMs();
}

void Workers::exited(Worker& worker, int status) {
  if (!worker.isOurs_ && worker.pidfd_) loop_.unwatch(worker.pidfd_.get());
  worker.state_ = WorkerState::Exited;
  worker.status_ = status;
  worker.goneAtMs_ = 0;
  tellEnd(link_, 0, worker);
}

int64_t Workers::deadlineMs() const {
  int64_t earliest = spill_.deadlineMs();
  for (const auto& [key, worker] : workers_) {
    if (worker->goneAtMs_ != 0 && (earliest < 0 || worker->goneAtMs_ + STATUS_WAIT_MS < earliest)) earliest = worker->goneAtMs_ + STATUS_WAIT_MS;
  }
  return earliest;
}

void Workers::expire(int64_t atMs) {
  spill_.expire(atMs);
  for (const auto& [key, worker] : workers_) {
    if (worker->goneAtMs_ == 0 || worker->goneAtMs_ + STATUS_WAIT_MS > atMs) continue;
    exited(*worker, pidfdExitStatus(worker->pidfd_.get()).value_or(STATUS_UNKNOWN));
  }
}

}  // namespace covet
