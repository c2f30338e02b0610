// Validators; see args.h.
#include "addon/args.h"

#include <cmath>
#include <limits>

#include "addon/throw.h"

namespace covet {

namespace {

std::string describe(Napi::Value value) {
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return value.ToString().Utf8Value() + " (boolean)";
    case napi_number: return value.ToString().Utf8Value() + " (number)";
    case napi_string: return "\"" + value.As<Napi::String>().Utf8Value().substr(0, 80) + "\" (string)";
    case napi_function: return "a function";
    default: return "an object";
  }
}

}  // namespace

void Args::refuse(Napi::Value got, const char* name, const std::string& wanted) {
  if (!isOk_) return;
  isOk_ = false;
  // A getter of the caller's threw: that is the reason, and it is pending already.
  if (info_.Env().IsExceptionPending()) return;
  throwInvalid(info_.Env(), std::string("Expected `") + name + "` to be " + wanted + ", got " + describe(got));
}

Napi::Value Args::field(Napi::Value object, const char* name) {
  if (!isOk_) return info_.Env().Undefined();
  if (object.IsObject()) {
    Napi::Value value = object.As<Napi::Object>().Get(name);
    if (!info_.Env().IsExceptionPending()) return value;
  }
  refuse(object, name, "a property of an object");
  return info_.Env().Undefined();
}

int64_t Args::integer(Napi::Value value, const char* name, int64_t min, int64_t max) {
  if (!isOk_) return 0;
  double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (std::trunc(number) == number && number >= static_cast<double>(min) && number <= static_cast<double>(max)) {
    return static_cast<int64_t>(number);
  }
  refuse(value, name, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return 0;
}

int Args::descriptor(Napi::Value value, const char* name) {
  return static_cast<int>(integer(value, name, 0, std::numeric_limits<int>::max()));
}

bool Args::boolean(Napi::Value value, const char* name) {
  if (isOk_ && value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  refuse(value, name, "a boolean");
  return false;
}

std::string Args::text(Napi::Value value, const char* name) {
  if (isOk_ && value.IsString()) return value.As<Napi::String>().Utf8Value();
  refuse(value, name, "a string");
  return {};
}

std::string Args::textWithoutNul(Napi::Value value, const char* name) {
  std::string read = text(value, name);
  if (read.find('\0') == std::string::npos) return read;
  refuse(value, name, "a string without a NUL byte");
  return {};
}

Napi::Function Args::function(Napi::Value value, const char* name) {
  if (isOk_ && value.IsFunction()) return value.As<Napi::Function>();
  refuse(value, name, "a function");
  return {};
}

template <typename T, typename Read>
std::vector<T> Args::list(Napi::Value value, const char* name, Read read) {
  std::vector<T> items;
  if (!isOk_ || !value.IsArray()) {
    refuse(value, name, "an array");
    return items;
  }
  Napi::Array array = value.As<Napi::Array>();
  uint32_t length = array.Length();
  for (uint32_t i = 0; i < length && isOk_; i++) {
    Napi::Value item = array.Get(i);
    if (info_.Env().IsExceptionPending()) refuse(value, name, "a readable array");
    else items.push_back(read(item));
  }
  return items;
}

std::vector<int> Args::descriptors(Napi::Value value, const char* name) {
  return list<int>(value, name, [&](Napi::Value item) { return descriptor(item, name); });
}

std::vector<uint32_t> Args::indices(Napi::Value value, const char* name, uint32_t max) {
  return list<uint32_t>(value, name, [&](Napi::Value item) { return static_cast<uint32_t>(integer(item, name, 0, max)); });
}

std::vector<std::string> Args::texts(Napi::Value value, const char* name) {
  return list<std::string>(value, name, [&](Napi::Value item) { return textWithoutNul(item, name); });
}

}  // namespace covet
