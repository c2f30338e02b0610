// The N-API side of log copying; see log_copier.h.
#include "addon/log_copier.h"

#include <uv.h>

#include <iterator>
#include <limits>
#include <utility>

#include "addon/throw.h"

namespace covet {

namespace {

constexpr int64_t SAFE_INTEGER_MAX = (int64_t{1} << 53) - 1;
constexpr int INT_MAX_VALUE = std::numeric_limits<int>::max();
constexpr int FILES_MAX = 10'000;
constexpr const char* ACTION_NAMES[] = {"write", "rotate", "open", "watch"};
static_assert(std::size(ACTION_NAMES) == LOG_ACTIONS);
constexpr size_t CALLS_MAX = 1;  // one call takes all news; more would find none

}  // namespace

Napi::Function LogCopier::define(Napi::Env env) {
  return DefineClass(env, "LogCopier",
                     {InstanceMethod<&LogCopier::openStream>("openStream"), InstanceMethod<&LogCopier::closeStream>("closeStream"),
                      InstanceMethod<&LogCopier::addSource>("addSource"), InstanceMethod<&LogCopier::flush>("flush"),
                      InstanceMethod<&LogCopier::reopen>("reopen"), InstanceMethod<&LogCopier::stats>("stats"),
                      InstanceMethod<&LogCopier::close>("close")});
}

LogCopier::LogCopier(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Napi::Env env = info.Env();
  Args args(info);
  Napi::Function onGrown = args.function(args.field(args[0], "onGrown"), "events.onGrown");
  Napi::Function onSourceEnd = args.function(args.field(args[0], "onSourceEnd"), "events.onSourceEnd");
  Napi::Function onTrouble = args.function(args.field(args[0], "onTrouble"), "events.onTrouble");
  Napi::Function onDropped = args.function(args.field(args[0], "onDropped"), "events.onDropped");
  if (!args.ok()) return;
  Napi::String name = Napi::String::New(env, "covet.LogCopier");
  napi_status made = napi_create_threadsafe_function(env, nullptr, nullptr, name, CALLS_MAX, 1, nullptr, nullptr, this, onNews, &tell_);
  if (made != napi_ok) {
    throwErrno(env, {ENOMEM, "napi_create_threadsafe_function"});
    return;
  }
  napi_unref_threadsafe_function(env, tell_);
  // The log thread: no N-API but this call. When one is queued already it takes this news too (napi_queue_full).
  auto notify = [](void* copier) { napi_call_threadsafe_function(static_cast<LogCopier*>(copier)->tell_, nullptr, napi_tsfn_nonblocking); };
  if (Status started = thread_.start(notify, this); !started.ok()) {
    napi_release_threadsafe_function(tell_, napi_tsfn_abort);
    throwErrno(env, started.error());
    return;
  }
  state_ = State::Open;
  onGrown_ = Napi::Persistent(onGrown);
  onSourceEnd_ = Napi::Persistent(onSourceEnd);
  onTrouble_ = Napi::Persistent(onTrouble);
  onDropped_ = Napi::Persistent(onDropped);
  napi_add_env_cleanup_hook(env, onEnvironmentEnd, this);
  Ref();  // until finish: the thread refers to this
}

LogCopier::~LogCopier() { thread_.join(); }

void LogCopier::onEnvironmentEnd(void* data) {
  LogCopier* copier = static_cast<LogCopier*>(data);
  if (copier->state_ == State::Open) copier->thread_.stop();
  copier->thread_.join();
  copier->state_ = State::Closed;
}

bool LogCopier::isOpen(Napi::Env env) {
  if (state_ == State::Open) return true;
  throwErrno(env, {EBADF, "LogCopier"});
  return false;
}

int LogCopier::openStreamId(Args& args, Napi::Value value) {
  int id = static_cast<int>(args.integer(value, "streamId", 0, INT_MAX_VALUE));
  if (args.ok() && !streams_.contains(id)) args.refuse(value, "streamId", "the id of an open stream");
  return id;
}

Napi::Value LogCopier::openStream(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  int id = static_cast<int>(args.integer(args[0], "id", 0, INT_MAX_VALUE));
  std::string path = args.textWithoutNul(args[1], "path");
  LogFileOptions options{};
  options.maxBytes = args.integer(args.field(args[2], "maxBytes"), "options.maxBytes", 0, SAFE_INTEGER_MAX);
  options.files = static_cast<int>(args.integer(args.field(args[2], "files"), "options.files", 0, FILES_MAX));
  options.timestamps = args.boolean(args.field(args[2], "timestamps"), "options.timestamps");
  int64_t stallMs = args.integer(args.field(args[2], "stallMs"), "options.stallMs", 0, INT_MAX_VALUE);
  if (args.ok() && streams_.contains(id)) args.refuse(args[0], "id", "one that is not open");
  if (!args.ok() || !isOpen(env)) return env.Undefined();
  Result<LogFile> file = LogFile::open(path, options);
  if (!file.ok()) return throwErrno(env, file.error(), path);
  streams_.insert(id);
  thread_.openStream(id, std::move(*file), stallMs);
  return env.Undefined();
}

Napi::Value LogCopier::closeStream(const Napi::CallbackInfo& info) {
  Args args(info);
  int id = openStreamId(args, args[0]);
  if (!args.ok() || !isOpen(info.Env())) return info.Env().Undefined();
  streams_.erase(id);
  thread_.closeStream(id);
  return info.Env().Undefined();
}

Napi::Value LogCopier::addSource(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  int stream = openStreamId(args, args[0]);
  int id = static_cast<int>(args.integer(args[1], "sourceId", 0, INT_MAX_VALUE));
  int fd = args.descriptor(args[2], "fd");
  std::string label = info.Length() > 3 ? args.textWithoutNul(args[3], "label") : std::string();
  if (!args.ok() || !isOpen(env)) return env.Undefined();
  if (Result<size_t> pipe = pipeCapacity(fd); !pipe.ok()) return throwErrno(env, pipe.error());
  Result<Fd> copy = duplicate(fd);
  if (!copy.ok()) return throwErrno(env, copy.error());
  thread_.addSource(stream, id, std::move(*copy), std::move(label));
  return env.Undefined();
}

Napi::Value LogCopier::flush(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  int stream = openStreamId(args, args[0]);
  if (!args.ok() || !isOpen(env)) return env.Undefined();
  Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
  uint64_t ticket = ++lastTicket_;
  if (flushes_.empty()) napi_ref_threadsafe_function(env, tell_);
  flushes_.emplace(ticket, deferred);
  thread_.flush(stream, ticket);
  return deferred.Promise();
}

Napi::Value LogCopier::reopen(const Napi::CallbackInfo& info) {
  if (isOpen(info.Env())) thread_.reopen();
  return info.Env().Undefined();
}

Napi::Value LogCopier::stats(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const LogCounts& counts = thread_.counts();
  Napi::Object result = Napi::Object::New(env);
  auto set = [&](const char* name, int64_t value) { result.Set(name, Napi::Number::New(env, static_cast<double>(value))); };
  set("bytes", counts.bytes);
  set("lines", counts.lines);
  set("droppedBytes", counts.droppedBytes);
  return result;
}

Napi::Value LogCopier::close(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (state_ != State::Open) return env.Undefined();
  state_ = State::Closing;
  if (!flushes_.empty()) napi_unref_threadsafe_function(env, tell_);
  for (auto& [ticket, deferred] : std::exchange(flushes_, {})) deferred.Reject(errnoError(env, {ECANCELED, "flush"}).Value());
  thread_.stop();
  return env.Undefined();
}

void LogCopier::onNews(napi_env env, napi_value, void* data, void*) {
  if (env == nullptr) return;  // the environment is ending
  LogCopier* copier = static_cast<LogCopier*>(data);
  Napi::HandleScope scope(env);
  [[maybe_unused]] Napi::Object self = copier->Value();  // over finish
  copier->deliver();
  if (copier->state_ == State::Closing && copier->thread_.hasStopped()) copier->finish();
}

void LogCopier::deliver() {
  Napi::Env env = Env();
  auto number = [&](int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); };
  LogNews news = thread_.takeNews();
  for (auto& [stream, grown] : news.grown) say(onGrown_, {number(stream), number(grown.size), Napi::Boolean::New(env, grown.isRotated)});
  auto errnoName = [&](int code) {
    char name[64] = "";
    if (code != 0) uv_err_name_r(uv_translate_sys_error(code), name, sizeof name);
    return Napi::String::New(env, name);
  };
  for (auto& [place, trouble] : news.troubles) {
    auto& [stream, action] = place;
    auto tell = [&](int code) { say(onTrouble_, {number(stream), Napi::String::New(env, ACTION_NAMES[static_cast<size_t>(action)]), errnoName(code)}); };
    if (trouble.code != 0) tell(trouble.code);
    if (trouble.isOver) tell(0);
  }
  for (auto& [stream, dropped] : news.dropped) say(onDropped_, {number(stream), errnoName(dropped.code), number(dropped.bytes)});
  for (auto& [stream, source] : news.ended) say(onSourceEnd_, {number(stream), number(source)});
  for (uint64_t ticket : news.flushed) settle(ticket);
}

void LogCopier::say(Napi::FunctionReference& callback, std::initializer_list<napi_value> values) {
  // A callback before this one may have closed.
  if (state_ != State::Open) return;
  callback.Call(Value(), values);
  reportUncaught(Env());
}

void LogCopier::settle(uint64_t ticket) {
  auto found = flushes_.find(ticket);
  if (found == flushes_.end()) return;
  found->second.Resolve(Env().Undefined());
  flushes_.erase(found);
  if (flushes_.empty()) napi_unref_threadsafe_function(Env(), tell_);
}

void LogCopier::finish() {
  state_ = State::Closed;
  thread_.join();
  napi_remove_env_cleanup_hook(Env(), onEnvironmentEnd, this);
  napi_release_threadsafe_function(tell_, napi_tsfn_abort);
  Unref();
}

}  // namespace covet
