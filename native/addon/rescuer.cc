// The N-API side of rescue; see rescuer.h.
#include "addon/rescuer.h"

#include <sys/socket.h>

#include <csignal>
#include <limits>
#include <string>
#include <utility>

#include "acceptor/hand_over.h"
#include "addon/throw.h"
#include "sys/packet.h"
#include "sys/tcp_queue.h"

namespace covet {

namespace {

constexpr int64_t MS_MAX = 24 * 60 * 60 * 1'000;
constexpr int64_t SAFE_INTEGER_MAX = static_cast<int64_t>(WORKER_MAX);

QueueId queueOf(Args& args) { return static_cast<QueueId>(args.integer(args[0], "queue", 0, std::numeric_limits<int>::max())); }

WorkerId workerOf(Args& args, size_t index) { return static_cast<WorkerId>(args.integer(args[index], "worker", 1, SAFE_INTEGER_MAX)); }

BackendWish wishOf(Args& args, Napi::Value value) {
  std::string name = args.text(value, "options.backend");
  if (name == "epoll") return BackendWish::Epoll;
  if (name == "io_uring") return BackendWish::IoUring;
  if (args.ok() && name != "auto") args.refuse(value, "options.backend", "\"auto\", \"io_uring\" or \"epoll\"");
  return BackendWish::Auto;
}

}  // namespace

Napi::Function RescuerObject::define(Napi::Env env) {
  using R = RescuerObject;
  return DefineClass(env, "Rescuer",
                     {InstanceMethod<&R::addQueue>("addQueue"), InstanceMethod<&R::serveQueue>("serveQueue"), InstanceMethod<&R::orphanQueue>("orphanQueue"),
                      InstanceMethod<&R::retireQueue>("retireQueue"), InstanceMethod<&R::removeQueue>("removeQueue"),
                      InstanceMethod<&R::addTaker>("addTaker"), InstanceMethod<&R::removeTaker>("removeTaker"), InstanceMethod<&R::counts>("counts"),
                      InstanceMethod<&R::close>("close"), InstanceAccessor<&R::backend>("backend"), InstanceAccessor<&R::refused>("ioUringRefused")});
}

RescuerObject::RescuerObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Napi::Env env = info.Env();
  Args args(info);
  int64_t rescueAfterMs = args.integer(args.field(args[0], "rescueAfterMs"), "options.rescueAfterMs", RESCUE_AFTER_MS_MIN, MS_MAX);
  BackendWish wish = wishOf(args, args.field(args[0], "backend"));
  if (!args.ok()) return;
  if (Status started = start(wish, rescueAfterMs); !started.ok()) {
    throwErrno(env, started.error());
    return;
  }
  napi_add_env_cleanup_hook(env, onEnvironmentEnd, this);
  Ref();  // until close()
}

Status RescuerObject::start(BackendWish wish, int64_t rescueAfterMs) {
  Result<ChosenBackend> chosen = chooseBackend(wish);
  if (!chosen.ok()) return chosen.error();
  rescuer_ = std::make_unique<Rescuer>(std::move(*chosen), rescueAfterMs);
  // The rescuing thread: no N-API. Signals are for the threads of Node; sigprocmask is this thread's on Linux.
  auto run = [](void* rescuer) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    static_cast<Rescuer*>(rescuer)->run();
  };
  int code = uv_thread_create(&thread_, run, rescuer_.get());
  if (code < 0) return SysError{-code, "pthread_create"};
  isRunning_ = true;
  return {};
}

RescuerObject::~RescuerObject() { end(); }

void RescuerObject::onEnvironmentEnd(void* rescuer) { static_cast<RescuerObject*>(rescuer)->end(); }

void RescuerObject::end() {
  if (!isRunning_) return;
  isRunning_ = false;
  rescuer_->stop();
  uv_thread_join(&thread_);
  rescuer_->shut();
}

bool RescuerObject::isOpen(Napi::Env env) {
  if (isRunning_) return true;
  throwErrno(env, {EBADF, "Rescuer"});
  return false;
}

Napi::Value RescuerObject::addQueue(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  QueueId queue = queueOf(args);
  std::string listener = args.text(args[1], "listener");
  int fd = args.descriptor(args[2], "fd");
  if (args.ok() && !isListenerKey(listener)) args.refuse(args[1], "listener", "a listener's key");
  if (!args.ok() || !isOpen(env)) return env.Undefined();
  Result<TcpQueue> state = tcpQueue(fd);
  if (!state.ok()) return throwErrno(env, state.error());
  if (!state->isListening) return throwErrno(env, {EINVAL, "accept"});
  Result<Fd> copy = duplicate(fd);
  if (!copy.ok()) return throwErrno(env, copy.error());
  rescuer_->addQueue(queue, std::move(listener), std::move(*copy));
  return env.Undefined();
}

Napi::Value RescuerObject::serveQueue(const Napi::CallbackInfo& info) {
  Args args(info);
  QueueId queue = queueOf(args);
  WorkerId worker = workerOf(args, 1);
  if (args.ok() && isOpen(info.Env())) rescuer_->serveQueue(queue, worker);
  return info.Env().Undefined();
}

Napi::Value RescuerObject::orphanQueue(const Napi::CallbackInfo& info) {
  Args args(info);
  QueueId queue = queueOf(args);
  if (args.ok() && isOpen(info.Env())) rescuer_->orphanQueue(queue);
  return info.Env().Undefined();
}

Napi::Value RescuerObject::retireQueue(const Napi::CallbackInfo& info) {
  Args args(info);
  QueueId queue = queueOf(args);
  int64_t forMs = args.integer(args[1], "forMs", 0, MS_MAX);
  if (args.ok() && isOpen(info.Env())) rescuer_->retireQueue(queue, forMs);
  return info.Env().Undefined();
}

Napi::Value RescuerObject::removeQueue(const Napi::CallbackInfo& info) {
  Args args(info);
  QueueId queue = queueOf(args);
  if (args.ok() && isOpen(info.Env())) rescuer_->removeQueue(queue);
  return info.Env().Undefined();
}

Napi::Value RescuerObject::addTaker(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  WorkerId worker = workerOf(args, 0);
  int fd = args.descriptor(args[1], "fd");
  if (!args.ok() || !isOpen(env)) return env.Undefined();
  if (Status packets = expectType(fd, SOCK_SEQPACKET); !packets.ok()) return throwErrno(env, packets.error());
  if (Status set = setCloexec(fd, true); !set.ok()) return throwErrno(env, set.error());
  rescuer_->addTaker(worker, Fd(fd));
  return env.Undefined();
}

Napi::Value RescuerObject::removeTaker(const Napi::CallbackInfo& info) {
  Args args(info);
  WorkerId worker = workerOf(args, 0);
  if (args.ok() && isOpen(info.Env())) rescuer_->removeTaker(worker);
  return info.Env().Undefined();
}

// After close() too.
Napi::Value RescuerObject::counts(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const RescueCounts& counts = rescuer_->counts();
  Napi::Object result = Napi::Object::New(env);
  auto set = [&](const char* name, const Count& count) { result.Set(name, Napi::Number::New(env, static_cast<double>(count.get()))); };
  set("taken", counts.taken);
  set("handed", counts.handed);
  set("refused", counts.refused);
  set("reset", counts.reset);
  set("held", counts.held);
  set("allStuck", counts.allStuck);
  set("wakes", counts.wakes);
  set("rounds", counts.rounds);
  set("connectionGone", counts.connectionGone);
  set("noDescriptors", counts.noDescriptors);
  set("noMemory", counts.noMemory);
  set("noListener", counts.noListener);
  return result;
}

Napi::Value RescuerObject::backend(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), rescuer_->kind() == BackendKind::Epoll ? "epoll" : "io_uring");
}

Napi::Value RescuerObject::refused(const Napi::CallbackInfo& info) {
  char name[64] = "";
  if (int code = rescuer_->refusedUring().code; code != 0) uv_err_name_r(uv_translate_sys_error(code), name, sizeof name);
  return Napi::String::New(info.Env(), name);
}

Napi::Value RescuerObject::close(const Napi::CallbackInfo& info) {
  if (!isRunning_) return info.Env().Undefined();
  end();
  napi_remove_env_cleanup_hook(info.Env(), onEnvironmentEnd, this);
  Unref();
  return info.Env().Undefined();
}

}  // namespace covet
