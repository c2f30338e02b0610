// Reads a pipe without taking anything out of it, and takes it out later: what was read is lost to nobody who is killed in between.
// tee(2) makes the pages of one pipe those of another too; the other is ours alone and read at once. Needs /dev/null to throw away into.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "fd.h"
#include "result.h"

namespace covet {

class PipePeek {
 public:
  // Fails with EMFILE, ENFILE, ENOENT (no /dev/null).
  Status open();

  // What the pipe holds now, as far as it fits, valid until the next peek; empty at the end (no writers, nothing left). Fails with
  // EAGAIN when there is nothing yet, EINVAL when it is not a pipe.
  Result<std::string_view> peek(int pipe);

  // Takes `bytes` out; never waits, should another reader have taken them already.
  void consume(int pipe, size_t bytes);

  // Whether a pipe that showed `bytes` may be full, so that its writer waits, or shows as much as ever fits here. A pipe is a ring of
  // pages, and a write that does not fit into the rest of a page begins the next: two pages in a row hold more than one, so a full pipe
  // is more than half full.
  bool mayBeFull(int pipe, size_t bytes) const;

 private:
  Fd in_;
  Fd out_;
  Fd null_;
  size_t bytesMax_ = 0;
  std::unique_ptr<char[]> buffer_;
};

// How many bytes a pipe holds; 0 when it cannot be told.
size_t pipeUnread(int pipe);

// Fails with EBADF when it is not a pipe.
Result<size_t> pipeCapacity(int pipe);

}  // namespace covet
