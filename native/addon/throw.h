// How the addon fails: an Error as Node's own system errors are, with `code`, `errno` (negative), `syscall` and, where there is one,
// `path`. Each returns undefined so that a binding can throw and return in one statement; nothing may follow a throw.
#pragma once

#include <napi.h>

#include <string_view>

#include "sys/result.h"

namespace covet {

// "EADDRINUSE: address already in use, bind", and " 'detail'" behind it.
Napi::Error errnoError(Napi::Env env, const SysError& error, std::string_view path = {});

Napi::Value throwErrno(Napi::Env env, const SysError& error, std::string_view path = {});

// The caller's mistake: a TypeError with code ERR_INVALID_ARG_VALUE.
Napi::Value throwInvalid(Napi::Env env, const std::string& message);

// What a callback threw goes where a listener's throw goes: to 'uncaughtException'. For calls into JS that no JS called.
void reportUncaught(Napi::Env env);

}  // namespace covet
