// Texts by key; see notes.h.
#include "init/notes.h"

#include <utility>

namespace covet {

namespace {
constexpr size_t NOTES_MAX = 16'384;  // two for each of the workers there can be
}

Status Notes::keep(const Message& request) {
  std::string key = request.text("key"), text = request.text("text");
  if (key.empty() || key.size() > KEY_BYTES_MAX) return SysError{EINVAL, "note"};
  if (text.size() > NOTE_BYTES_MAX) return SysError{EMSGSIZE, "note"};
  if (text.empty()) {
    notes_.erase(key);
  } else {
    if (!notes_.contains(key) && notes_.size() >= NOTES_MAX) return SysError{ENOSPC, "note"};
    notes_.insert_or_assign(std::move(key), std::move(text));
  }
  link_.send(Writer("ok", request.id).take());
  return {};
}

void Notes::tell(PacketSink& to, uint64_t id) const {
  for (const auto& [key, text] : notes_) to.send(Writer("note", id).add("key", key).add("text", text).take());
}

void Notes::restore(const Message& told) { notes_.insert_or_assign(told.text("key"), told.text("text")); }

}  // namespace covet
