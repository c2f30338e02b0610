// TCP sockets of a reuseport group; see tcp_socket.h.
#include "tcp_socket.h"

#include <linux/filter.h>
#include <netinet/tcp.h>

namespace covet {

namespace {

Result<Fd> openSocket(const InetAddress& address) {
  Result<Fd> fd = openInetSocket(address, SOCK_STREAM);
  if (!fd.ok()) return fd;
  if (Status set = setSocketOption(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1); !set.ok()) return set.error();
  return fd;
}

}  // namespace

Status probeTcpAddress(const InetAddress& address) {
  // Without SO_REUSEPORT a bind conflicts with every listener there; SO_REUSEADDR spares connections that outlived theirs.
  Result<Fd> fd = openSocket(address);
  if (!fd.ok()) return fd.error();
  return bindInetSocket(fd->get(), address);
}

Result<Fd> tcpSocket(const InetAddress& address) {
  Result<Fd> fd = openSocket(address);
  if (!fd.ok()) return fd;
  const struct {
    int level, name;
  } options[] = {{SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_TCP, TCP_NODELAY}};
  for (auto [level, name] : options) {
    if (Status set = setSocketOption(fd->get(), level, name, 1); !set.ok()) return set.error();
  }
  if (Status bound = bindInetSocket(fd->get(), address); !bound.ok()) return bound.error();
  return fd;
}

Status setDeaf(int socket, bool isDeaf) {
  sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog program{1, nothing};
  if (setsockopt(socket, SOL_SOCKET, isDeaf ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program, sizeof program) < 0) return lastError("setsockopt");
  return {};
}

}  // namespace covet
