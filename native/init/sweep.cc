// The processes of our control group; see sweep.h.
#include "init/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "init/loop.h"
#include "init/say.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace covet {

namespace {

constexpr int64_t TERM_WAIT_MS = 1'000;
constexpr int64_t KILL_WAIT_MS = 1'000;  // a process in uninterruptible sleep is left
constexpr int ROUNDS_MAX = 16;           // of a group whose processes go on starting others

using File = std::unique_ptr<FILE, decltype([](FILE* file) { fclose(file); })>;

// Not by fopen(3), nor read by scanf(3), which bring character sets: 150 KiB of a static program.
File openFile(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return File(fd ? fdopen(fd.release(), "r") : nullptr);
}

// Of the unified hierarchy, or of systemd's own where that is the old one. Empty: neither is there.
std::string groupFolder() {
  File file = openFile("/proc/self/cgroup");
  char line[PATH_MAX + 64];
  while (file && fgets(line, sizeof line, file.get()) != nullptr) {
    std::string_view text(line, strcspn(line, "\n"));
    size_t second = text.find(':', text.find(':') + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = text.substr(text.find(':') + 1, second - text.find(':') - 1), path = text.substr(second + 1);
    // The service's own group, though a manager runs its commands, and where it can us (DelegateSubgroup=), in one below it.
    for (std::string_view below : {"/.control", "/covet"}) {
      if (path.ends_with(below)) path.remove_suffix(below.size());
    }
    if (path == "/") continue;  // everything there is would be in it
    const char* mount = controllers.empty() ? "/sys/fs/cgroup" : controllers == "name=systemd" ? "/sys/fs/cgroup/systemd" : nullptr;
    if (mount == nullptr) continue;
    std::string folder = mount + std::string(path);
    if (openFile(folder + "/cgroup.procs")) return folder;
  }
  return {};
}

void collect(const std::string& folder, std::vector<pid_t>& into) {
  File list = openFile(folder + "/cgroup.procs");
  char line[32];
  while (list && fgets(line, sizeof line, list.get()) != nullptr) {
    pid_t pid = static_cast<pid_t>(strtol(line, nullptr, 10));
    if (pid > 0 && pid != getpid()) into.push_back(pid);
  }
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) return;
  while (dirent* entry = readdir(entries)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') collect(folder + "/" + entry->d_name, into);
  }
  closedir(entries);
}

// By pidfd, read again in the group after it was opened: a number that was reused is nobody of ours.
std::vector<Fd> processesOf(const std::string& folder) {
  std::vector<pid_t> listed, still;
  collect(folder, listed);
  std::vector<std::pair<pid_t, Fd>> opened;
  for (pid_t pid : listed) {
    if (Result<Fd> pidfd = pidfdOpen(pid); pidfd.ok()) opened.emplace_back(pid, std::move(*pidfd));
  }
  collect(folder, still);
  std::vector<Fd> processes;
  for (auto& [pid, pidfd] : opened) {
    if (std::find(still.begin(), still.end(), pid) != still.end()) processes.push_back(std::move(pidfd));
  }
  return processes;
}

void waitFor(const std::vector<Fd>& processes, int64_t untilMs) {
  for (const Fd& process : processes) {
    pollfd end{process.get(), POLLIN, 0};
    while (poll(&end, 1, static_cast<int>(std::max<int64_t>(0, untilMs - nowMs()))) < 0 && errno == EINTR) continue;
  }
}

int killAll(const std::string& folder) {
  int count = 0;
  for (int round = 0; round < ROUNDS_MAX; round++) {
    std::vector<Fd> processes = processesOf(folder);
    if (processes.empty()) break;
    for (const Fd& process : processes) (void)pidfdSignal(process.get(), SIGKILL);
    waitFor(processes, nowMs() + KILL_WAIT_MS);
    count += static_cast<int>(processes.size());
  }
  return count;
}

}  // namespace

int sweepAfterService() {
  const char* result = getenv("SERVICE_RESULT");
  std::string_view why = result == nullptr ? "" : result;
  // `timeout` can only be the stop's: the start has none in our unit.
  if (why != "success" && why != "timeout") return 0;
  std::string folder = groupFolder();
  if (folder.empty()) {
    say("Expected a control group of the service, found none: nothing is swept.");
    return 1;
  }
  std::vector<Fd> processes = processesOf(folder);
  if (processes.empty()) return 0;
  say("%zu processes are left after the stop, ending them.", processes.size());
  for (const Fd& process : processes) {
    (void)pidfdSignal(process.get(), SIGTERM);
    (void)pidfdSignal(process.get(), SIGCONT);
  }
  waitFor(processes, nowMs() + TERM_WAIT_MS);
  killAll(folder);
  return 0;
}

int sweepOthers() {
  std::string folder = groupFolder();
  return folder.empty() ? -1 : killAll(folder);
}

}  // namespace covet
