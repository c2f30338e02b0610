// What covet-init holds, on disk beside its lock: for whoever must find it again when covet-init and its supervisor are killed at once. The
// workers that live on hold their sockets and log pipes; this says which of their descriptors were what (supervisor/adoption/recover.ts).
//
// It is the text of a state (state.h) with what each descriptor leads to, as /proc/PID/fd names it, behind a line that tells since which boot
// pids and inodes mean what they say: `record 0 boot=…`. Where a service manager keeps the descriptors themselves there is none.
#pragma once

#include <string>

#include "init/state.h"

namespace covet {

class Record {
 public:
  // In the folder of the lock.
  void open(const char* lockPath);
  bool isOn() const { return !path_.empty(); }
  // Makes the file what `state` says. Nothing happens when it says what it said last.
  void save(const StateWriter& state);
  // An orderly end: there is nothing to find.
  void clear();

 private:
  std::string path_;
  std::string boot_;
  std::string last_;
};

}  // namespace covet
