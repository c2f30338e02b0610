// tee, read, splice; see pipe_peek.h.
#include "pipe_peek.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace covet {

namespace {

constexpr int SCRATCH_BYTES = 1'048'576;  // fs.pipe-max-size's default: the most that anyone's pipe holds

}  // namespace

Status PipePeek::open() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return lastError("pipe2");
  out_.reset(ends[0]);
  in_.reset(ends[1]);
  // EPERM: this user's pipes have used up their pages (pipe-user-pages-soft). The smaller one works too, by smaller chunks.
  (void)fcntl(in_.get(), F_SETPIPE_SZ, SCRATCH_BYTES);
  Result<size_t> capacity = pipeCapacity(in_.get());
  if (!capacity.ok()) return capacity.error();
  bytesMax_ = *capacity;
  buffer_.reset(new char[bytesMax_]);
  null_.reset(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!null_) return lastError("open");
  return {};
}

Result<std::string_view> PipePeek::peek(int pipe) {
  ssize_t size;
  do size = tee(pipe, in_.get(), bytesMax_, SPLICE_F_NONBLOCK);
  while (size < 0 && errno == EINTR);
  if (size < 0) return lastError("tee");
  size_t have = 0;
  while (have < static_cast<size_t>(size)) {
    ssize_t part = read(out_.get(), buffer_.get() + have, static_cast<size_t>(size) - have);
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) return lastError("read");
    have += static_cast<size_t>(part);
  }
  return std::string_view(buffer_.get(), have);
}

void PipePeek::consume(int pipe, size_t bytes) {
  while (bytes > 0) {
    ssize_t size = splice(pipe, nullptr, null_.get(), nullptr, bytes, SPLICE_F_NONBLOCK);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    bytes -= static_cast<size_t>(size);
  }
}

bool PipePeek::mayBeFull(int pipe, size_t bytes) const {
  Result<size_t> capacity = pipeCapacity(pipe);
  size_t most = capacity.ok() ? std::min(*capacity, bytesMax_) : bytesMax_;
  return bytes * 2 > most;
}

size_t pipeUnread(int pipe) {
  int bytes = 0;
  return ioctl(pipe, FIONREAD, &bytes) < 0 ? 0 : static_cast<size_t>(bytes);
}

Result<size_t> pipeCapacity(int pipe) {
  int bytes = fcntl(pipe, F_GETPIPE_SZ);
  if (bytes < 0) return lastError("fcntl");
  return static_cast<size_t>(bytes);
}

}  // namespace covet
