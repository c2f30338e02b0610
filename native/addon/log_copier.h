// LogCopier of native/index.ts: the copying thread's face in JS. Streams are opened here, on the JS thread, so that open(2)'s errors are
// thrown at their caller; everything else is a command to the thread, and its news come by one threadsafe function, which keeps the
// event loop alive only while a flush is awaited.
//
// close() asks the thread to stop and returns; the thread's last call back joins it. If the environment ends first, its cleanup hook
// (which runs before the threadsafe function's own, made earlier) stops and joins it there.
#pragma once

#include <napi.h>

#include <map>
#include <set>

#include "addon/args.h"
#include "addon/log_copy_thread.h"

namespace covet {

class LogCopier : public Napi::ObjectWrap<LogCopier> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit LogCopier(const Napi::CallbackInfo& info);
  ~LogCopier() override;

 private:
  enum class State { Failed, Open, Closing, Closed };

  Napi::Value openStream(const Napi::CallbackInfo& info);
  Napi::Value closeStream(const Napi::CallbackInfo& info);
  Napi::Value addSource(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value reopen(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  static void onNews(napi_env env, napi_value, void* copier, void*);
  static void onEnvironmentEnd(void* copier);
  int openStreamId(Args& args, Napi::Value value);
  bool isOpen(Napi::Env env);
  void deliver();
  void say(Napi::FunctionReference& callback, std::initializer_list<napi_value> values);
  void settle(uint64_t ticket);
  void finish();

  State state_ = State::Failed;
  LogCopyThread thread_;
  napi_threadsafe_function tell_ = nullptr;
  Napi::FunctionReference onGrown_;
  Napi::FunctionReference onSourceEnd_;
  Napi::FunctionReference onTrouble_;
  Napi::FunctionReference onDropped_;
  std::set<int> streams_;
  std::map<uint64_t, Napi::Promise::Deferred> flushes_;
  uint64_t lastTicket_ = 0;
};

}  // namespace covet
