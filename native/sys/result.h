// How native code fails: by value. SysError is what a system call said and which call it was, so that the last line (an N-API
// throw, an `error` packet, a report line) can name both. Built without exceptions: nothing here allocates or throws.
// errno(3); the shape is Node's own `code`, `errno`, `syscall`.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

namespace covet {

struct SysError {
  int code = 0;              // a positive errno
  const char* syscall = "";  // a literal: it outlives every error

  // "EADDRINUSE", as Node spells it.
  const char* name() const {
    const char* known = strerrorname_np(code);
    return known == nullptr ? "UNKNOWN" : known;
  }
  const char* text() const { return strerror(code); }
};

inline SysError lastError(const char* syscall) { return SysError{errno, syscall}; }

// Success, or why not.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(SysError error) : error_(error) {}

  bool ok() const { return error_.code == 0; }
  const SysError& error() const { return error_; }

 private:
  SysError error_{};
};

// A value, or why there is none. Reading the value of a failure aborts: it is a programmer's error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(SysError error) : error_(error) {}

  bool ok() const { return value_.has_value(); }
  const SysError& error() const { return error_; }
  T& operator*() {
    if (!value_) abort();
    return *value_;
  }
  T* operator->() { return &**this; }

 private:
  std::optional<T> value_;
  SysError error_{};
};

}  // namespace covet
