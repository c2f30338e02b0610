// The wire's codec; see wire.h.
#include "init/wire.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace covet {

namespace {

// What encodeURIComponent leaves as it is (ECMA-262, 19.2.6.4).
bool isUnescaped(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("-_.!~*'()", c) != nullptr);
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unescape(std::string_view text, std::string& into) {
  into.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      into.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    int high = hexDigit(text[i + 1]), low = hexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    into.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

std::string_view takeWord(std::string_view& text) {
  size_t end = std::min(text.find(' '), text.size());
  std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

template <typename T>
bool parse(std::string_view text, T& into) {
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size();
}

}  // namespace

const std::string* Message::find(std::string_view key) const {
  for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
    if (field->first == key) return &field->second;
  }
  return nullptr;
}

std::string Message::text(std::string_view key) const {
  const std::string* value = find(key);
  return value == nullptr ? std::string() : *value;
}

std::optional<int64_t> Message::number(std::string_view key, int64_t min, int64_t max) const {
  const std::string* text = find(key);
  int64_t value;
  if (text == nullptr || !parse(*text, value) || value < min || value > max) return std::nullopt;
  return value;
}

bool decode(std::string_view text, Message& into) {
  std::string_view verb = takeWord(text);
  bool isVerb = !verb.empty() && std::all_of(verb.begin(), verb.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  uint64_t id;
  if (!isVerb || !parse(takeWord(text), id) || id > ID_MAX) return false;
  into.verb = verb;
  into.id = id;
  while (!text.empty()) {
    std::string_view pair = takeWord(text);
    size_t at = pair.find('=');
    if (at == 0 || at == std::string_view::npos) return false;
    std::string value;
    if (!unescape(pair.substr(at + 1), value)) return false;
    into.fields.emplace_back(pair.substr(0, at), std::move(value));
  }
  return true;
}

Writer::Writer(std::string_view verb, uint64_t id) : text_(verb) {
  text_ += ' ';
  text_ += std::to_string(id);
}

Writer& Writer::add(std::string_view key, std::string_view value) {
  text_ += ' ';
  text_ += key;
  text_ += '=';
  for (char c : value) {
    if (isUnescaped(c)) {
      text_ += c;
    } else {
      constexpr char DIGITS[] = "0123456789ABCDEF";
      text_ += '%';
      text_ += DIGITS[static_cast<unsigned char>(c) >> 4];
      text_ += DIGITS[static_cast<unsigned char>(c) & 15];
    }
  }
  return *this;
}

Writer& Writer::add(std::string_view key, int64_t value) { return add(key, std::to_string(value)); }

std::string errorText(uint64_t id, const SysError& error) {
  return Writer("error", id).add("errno", error.code).add("code", error.name()).add("syscall", error.syscall).take();
}

}  // namespace covet
