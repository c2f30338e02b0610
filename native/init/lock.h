// One covet-init per home: an flock(2) on a file that holds our pid, kept for life and let go by the kernel whatever kills us.
#pragma once

#include <sys/types.h>

#include "sys/fd.h"

namespace covet {

struct Lock {
  Fd fd;
  SysError error{};    // EWOULDBLOCK: another holds it
  pid_t holder = 0;    // that one's pid, 0 if it has not written it yet
};

Lock takeLock(const char* path);

// That of a covet-init that was killed: a child of its own on the way to an exec may have it a moment longer.
Lock takeLockOfOneKilled(const char* path);

}  // namespace covet
