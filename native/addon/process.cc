// pidfdOpen, pidfdSignal, pidfdGetfd, memoryFile, affinity, isLocked, lock, execve, leaveForThreads, leftForThreads.
#include "addon/process.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <limits>
#include <mutex>

#include "addon/args.h"
#include "sys/affinity.h"
#include "sys/exec.h"
#include "sys/fd.h"
#include "sys/pidfd.h"
#include "addon/throw.h"

namespace covet {

namespace {

constexpr int PID_MAX = std::numeric_limits<int>::max();
constexpr int SIGNAL_MAX = 64;

Napi::Value bindPidfdOpen(const Napi::CallbackInfo& info) {
  Args args(info);
  int pid = static_cast<int>(args.integer(args[0], "pid", 1, PID_MAX));
  if (!args.ok()) return info.Env().Undefined();
  Result<Fd> pidfd = pidfdOpen(pid);
  if (!pidfd.ok()) return throwErrno(info.Env(), pidfd.error());
  return Napi::Number::New(info.Env(), pidfd->release());
}

Napi::Value bindPidfdSignal(const Napi::CallbackInfo& info) {
  Args args(info);
  int pidfd = args.descriptor(args[0], "pidfd");
  int signal = static_cast<int>(args.integer(args[1], "signal", 0, SIGNAL_MAX));
  if (!args.ok()) return info.Env().Undefined();
  Status sent = pidfdSignal(pidfd, signal);
  if (!sent.ok()) return throwErrno(info.Env(), sent.error());
  return info.Env().Undefined();
}

Napi::Value bindPidfdGetfd(const Napi::CallbackInfo& info) {
  Args args(info);
  int pidfd = args.descriptor(args[0], "pidfd");
  int fd = args.descriptor(args[1], "fd");
  if (!args.ok()) return info.Env().Undefined();
  Result<Fd> copy = pidfdGetfd(pidfd, fd);
  if (!copy.ok()) return throwErrno(info.Env(), copy.error());
  return Napi::Number::New(info.Env(), copy->release());
}

// memfd_create(2): a file without a name in the file system, but with one in /proc/PID/fd.
Napi::Value bindMemoryFile(const Napi::CallbackInfo& info) {
  Args args(info);
  std::string name = args.textWithoutNul(args[0], "name");
  std::string text = args.textWithoutNul(args[1], "text");
  if (!args.ok()) return info.Env().Undefined();
  Fd file(memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!file) return throwErrno(info.Env(), lastError("memfd_create"));
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return throwErrno(info.Env(), lastError("write"));
  return Napi::Number::New(info.Env(), file.release());
}

Napi::Value bindAffinity(const Napi::CallbackInfo& info) {
  Args args(info);
  int pid = static_cast<int>(args.integer(args[0], "pid", 0, PID_MAX));
  if (!args.ok()) return info.Env().Undefined();
  Result<std::vector<int>> cpus = affinity(pid);
  if (!cpus.ok()) return throwErrno(info.Env(), cpus.error());
  Napi::Array array = Napi::Array::New(info.Env(), cpus->size());
  for (uint32_t i = 0; i < cpus->size(); i++) array.Set(i, Napi::Number::New(info.Env(), (*cpus)[i]));
  return array;
}

// flock(2). Asks by taking it for a moment, shared: closing gives it back.
Napi::Value bindIsLocked(const Napi::CallbackInfo& info) {
  Args args(info);
  std::string path = args.textWithoutNul(args[0], "path");
  if (!args.ok()) return info.Env().Undefined();
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return throwErrno(info.Env(), lastError("open"), path);
  if (flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return Napi::Boolean::New(info.Env(), false);
  if (errno == EWOULDBLOCK) return Napi::Boolean::New(info.Env(), true);
  return throwErrno(info.Env(), lastError("flock"), path);
}

// flock(2), exclusive: waits for whoever has it. Closing gives it back, as does the end of the process.
Napi::Value bindLock(const Napi::CallbackInfo& info) {
  Args args(info);
  std::string path = args.textWithoutNul(args[0], "path");
  if (!args.ok()) return info.Env().Undefined();
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return throwErrno(info.Env(), lastError("open"), path);
  while (flock(fd.get(), LOCK_EX) < 0) {
    if (errno != EINTR) return throwErrno(info.Env(), lastError("flock"), path);
  }
  return Napi::Number::New(info.Env(), fd.release());
}

Napi::Value bindExecve(const Napi::CallbackInfo& info) {
  Args args(info);
  std::string path = args.textWithoutNul(args[0], "path");
  std::vector<std::string> argv = args.texts(args[1], "argv");
  std::vector<std::string> env = args.texts(args[2], "env");
  std::vector<int> keep = args.descriptors(args[3], "keep");
  if (!args.ok()) return info.Env().Undefined();
  return throwErrno(info.Env(), execClean(path, argv, env, keep), path);
}

// What a process's main thread says to its worker threads: each has an environment of its own, and the library is the process's.
class Left {
 public:
  void set(std::string text) {
    std::lock_guard<std::mutex> lock(mutex_);
    text_ = std::move(text);
  }
  std::string get() {
    std::lock_guard<std::mutex> lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

Left left;

Napi::Value bindLeaveForThreads(const Napi::CallbackInfo& info) {
  Args args(info);
  std::string text = args.text(args[0], "text");
  if (!args.ok()) return info.Env().Undefined();
  left.set(std::move(text));
  return info.Env().Undefined();
}

Napi::Value bindLeftForThreads(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), left.get());
}

}  // namespace

void exportProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("pidfdOpen", Napi::Function::New<bindPidfdOpen>(env, "pidfdOpen"));
  exports.Set("pidfdSignal", Napi::Function::New<bindPidfdSignal>(env, "pidfdSignal"));
  exports.Set("pidfdGetfd", Napi::Function::New<bindPidfdGetfd>(env, "pidfdGetfd"));
  exports.Set("memoryFile", Napi::Function::New<bindMemoryFile>(env, "memoryFile"));
  exports.Set("affinity", Napi::Function::New<bindAffinity>(env, "affinity"));
  exports.Set("isLocked", Napi::Function::New<bindIsLocked>(env, "isLocked"));
  exports.Set("lock", Napi::Function::New<bindLock>(env, "lock"));
  exports.Set("execve", Napi::Function::New<bindExecve>(env, "execve"));
  exports.Set("leaveForThreads", Napi::Function::New<bindLeaveForThreads>(env, "leaveForThreads"));
  exports.Set("leftForThreads", Napi::Function::New<bindLeftForThreads>(env, "leftForThreads"));
}

}  // namespace covet
