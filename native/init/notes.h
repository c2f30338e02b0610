// What a supervisor wants its successor to know: short texts by key, kept while covet-init lives and told at each hello. Their meaning is
// the supervisor's alone.
#pragma once

#include <map>
#include <string>

#include "init/link.h"
#include "init/wire.h"

namespace covet {

class Notes {
 public:
  explicit Notes(Link& link) : link_(link) {}

  // Keeps a text, or with an empty one lets go of it. Answers on the link, when it succeeded: EINVAL, EMSGSIZE, ENOSPC.
  Status keep(const Message& request);

  // A hello's part, and a state's; `restore` takes it back from there.
  void tell(PacketSink& to, uint64_t id) const;
  void restore(const Message& told);
  size_t packets() const { return notes_.size(); }

 private:
  Link& link_;
  std::map<std::string, std::string> notes_;
};

}  // namespace covet
