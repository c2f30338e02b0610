// System errors in Node's shape; see throw.h. libuv has the names and texts that Node prints.
#include "addon/throw.h"

#include <uv.h>

namespace covet {

Napi::Error errnoError(Napi::Env env, const SysError& error, std::string_view path) {
  int code = uv_translate_sys_error(error.code);
  char name[64];
  char text[128];
  uv_err_name_r(code, name, sizeof name);
  uv_strerror_r(code, text, sizeof text);
  std::string message = std::string(name) + ": " + text + ", " + error.syscall;
  if (!path.empty()) message.append(" '").append(path).append("'");

  Napi::Error made = Napi::Error::New(env, message);
  made.Set("errno", Napi::Number::New(env, code));
  made.Set("code", Napi::String::New(env, name));
  made.Set("syscall", Napi::String::New(env, error.syscall));
  if (!path.empty()) made.Set("path", Napi::String::New(env, path.data(), path.size()));
  return made;
}

Napi::Value throwErrno(Napi::Env env, const SysError& error, std::string_view path) {
  errnoError(env, error, path).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value throwInvalid(Napi::Env env, const std::string& message) {
  Napi::TypeError made = Napi::TypeError::New(env, message);
  made.Set("code", Napi::String::New(env, "ERR_INVALID_ARG_VALUE"));
  made.ThrowAsJavaScriptException();
  return env.Undefined();
}

void reportUncaught(Napi::Env env) {
  if (!env.IsExceptionPending()) return;
  napi_value thrown;
  if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) napi_fatal_exception(env, thrown);
}

}  // namespace covet
