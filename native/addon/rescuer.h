// Rescuer of native/index.ts: acceptor/rescuer.h on a thread of its own. Every method checks its arguments on the JS thread, so that what is wrong is
// thrown at its caller, and posts a command; nothing comes back but the counts, so there is no call from the thread into JS.
//
// The thread never blocks but in its sleep, so close() waits for its end: then its descriptors are closed, and a port that only they had
// open is free. If the environment ends first, its cleanup hook does the same.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>

#include "acceptor/rescuer.h"
#include "addon/args.h"

namespace covet {

class RescuerObject : public Napi::ObjectWrap<RescuerObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit RescuerObject(const Napi::CallbackInfo& info);
  ~RescuerObject() override;

 private:
  Napi::Value addQueue(const Napi::CallbackInfo& info);
  Napi::Value serveQueue(const Napi::CallbackInfo& info);
  Napi::Value orphanQueue(const Napi::CallbackInfo& info);
  Napi::Value retireQueue(const Napi::CallbackInfo& info);
  Napi::Value removeQueue(const Napi::CallbackInfo& info);
  Napi::Value addTaker(const Napi::CallbackInfo& info);
  Napi::Value removeTaker(const Napi::CallbackInfo& info);
  Napi::Value counts(const Napi::CallbackInfo& info);
  Napi::Value backend(const Napi::CallbackInfo& info);
  Napi::Value refused(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  static void onEnvironmentEnd(void* rescuer);
  Status start(BackendWish wish, int64_t rescueAfterMs);
  bool isOpen(Napi::Env env);
  void end();

  std::unique_ptr<Rescuer> rescuer_;  // null where it could not be made
  uv_thread_t thread_{};
  bool isRunning_ = false;
};

}  // namespace covet
