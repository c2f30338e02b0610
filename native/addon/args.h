// The arguments of one call from JS, each checked by one sentence. The first that does not fit leaves a TypeError pending and `ok()`
// false; everything read after it is its type's zero. So a binding reads all of its arguments and then asks once:
//
//   Args args(info);
//   int fd = args.descriptor(args[0], "fd");
//   if (!args.ok()) return env.Undefined();
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace covet {

class Args {
 public:
  explicit Args(const Napi::CallbackInfo& info) : info_(info) {}

  Napi::Value operator[](size_t index) const { return info_[index]; }
  Napi::Value field(Napi::Value object, const char* name);
  bool ok() const { return isOk_; }

  int64_t integer(Napi::Value value, const char* name, int64_t min, int64_t max);
  int descriptor(Napi::Value value, const char* name);
  bool boolean(Napi::Value value, const char* name);
  std::string text(Napi::Value value, const char* name);
  // For what becomes a C string.
  std::string textWithoutNul(Napi::Value value, const char* name);
  Napi::Function function(Napi::Value value, const char* name);

  std::vector<int> descriptors(Napi::Value value, const char* name);
  std::vector<uint32_t> indices(Napi::Value value, const char* name, uint32_t max);
  std::vector<std::string> texts(Napi::Value value, const char* name);

  // "Expected `name` to be `wanted`, got 3 (number)". Only the first is thrown.
  void refuse(Napi::Value got, const char* name, const std::string& wanted);

 private:
  template <typename T, typename Read>
  std::vector<T> list(Napi::Value value, const char* name, Read read);

  const Napi::CallbackInfo& info_;
  bool isOk_ = true;
};

}  // namespace covet
