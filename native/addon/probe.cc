// probe(): sys/probe.h as an object of 'ok' or the error's code.
#include "sys/probe.h"

#include <uv.h>

#include "addon/process.h"

namespace covet {

namespace {

Napi::String verdict(Napi::Env env, int refused) {
  if (refused == 0) return Napi::String::New(env, "ok");
  char name[64];
  uv_err_name_r(uv_translate_sys_error(refused), name, sizeof name);
  return Napi::String::New(env, name);
}

Napi::Value probe(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result.Set("reuseportBpf", verdict(env, probeReuseportBpf()));
  result.Set("ebpf", verdict(env, probeEbpf()));
  result.Set("ioUring", verdict(env, probeIoUring()));
  result.Set("pidfd", verdict(env, probePidfd()));
  result.Set("pidfdInfoExit", verdict(env, probePidfdInfoExit()));
  result.Set("ptraceScope", Napi::Number::New(env, ptraceScope()));
  return result;
}

}  // namespace

void exportProbe(Napi::Env env, Napi::Object exports) { exports.Set("probe", Napi::Function::New<probe>(env, "probe")); }

}  // namespace covet
