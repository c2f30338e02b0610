// Which back end: by trying, not by a kernel's version; see backend.h.
#include "acceptor/backend.h"

#include <utility>

namespace covet {

Result<ChosenBackend> chooseBackend(BackendWish wish) {
  SysError refused{};
  if (wish != BackendWish::Epoll) {
    Result<std::unique_ptr<Backend>> ring = openUringBackend();
    if (ring.ok()) return ChosenBackend{std::move(*ring), {}};
    if (wish == BackendWish::IoUring) return ring.error();
    refused = ring.error();
  }
  Result<std::unique_ptr<Backend>> epoll = openEpollBackend();
  if (!epoll.ok()) return epoll.error();
  return ChosenBackend{std::move(*epoll), refused};
}

}  // namespace covet
