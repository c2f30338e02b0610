// TCP sockets of a reuseport group; see tcp_socket.h.
#include "tcp_socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

namespace covet {

namespace {

Status setOption(int socket, int level, int name, int value) {
  if (setsockopt(socket, level, name, &value, sizeof value) < 0) return lastError("setsockopt");
  return {};
}

Result<Fd> openSocket(const TcpAddress& address) {
  int family = address.storage.ss_family;
  Fd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!fd) return lastError("socket");
  if (Status set = setOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1); !set.ok()) return set.error();
  if (family == AF_INET6) {
    if (Status set = setOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, !address.isDual); !set.ok()) return set.error();
  }
  return fd;
}

Status bindTo(int socket, const TcpAddress& address) {
  if (bind(socket, reinterpret_cast<const sockaddr*>(&address.storage), address.size) < 0) return lastError("bind");
  return {};
}

}  // namespace

uint16_t TcpAddress::port() const {
  // sin_port and sin6_port lie at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

void TcpAddress::setPort(uint16_t port) { reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port); }

Result<TcpAddress> tcpAddress(int family, const char* host, uint16_t port, bool isDual) {
  TcpAddress address;
  address.storage.ss_family = static_cast<sa_family_t>(family);
  void* into;
  if (family == AF_INET6) {
    into = &reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_addr;
    address.size = sizeof(sockaddr_in6);
    address.isDual = isDual;
  } else {
    into = &reinterpret_cast<sockaddr_in*>(&address.storage)->sin_addr;
    address.size = sizeof(sockaddr_in);
  }
  if (inet_pton(family, host, into) != 1) return SysError{EINVAL, "inet_pton"};
  address.setPort(port);
  return address;
}

Status probeAddress(const TcpAddress& address) {
  // Without SO_REUSEPORT a bind conflicts with every listener there; SO_REUSEADDR spares connections that outlived theirs.
  Result<Fd> fd = openSocket(address);
  if (!fd.ok()) return fd.error();
  return bindTo(fd->get(), address);
}

Result<Fd> tcpSocket(const TcpAddress& address) {
  Result<Fd> fd = openSocket(address);
  if (!fd.ok()) return fd;
  const struct {
    int level, name;
  } options[] = {{SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_TCP, TCP_NODELAY}};
  for (auto [level, name] : options) {
    if (Status set = setOption(fd->get(), level, name, 1); !set.ok()) return set.error();
  }
  if (Status bound = bindTo(fd->get(), address); !bound.ok()) return bound.error();
  return fd;
}

Result<uint16_t> boundPort(int socket) {
  TcpAddress address;
  address.size = sizeof address.storage;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address.storage), &address.size) < 0) return lastError("getsockname");
  return address.port();
}

}  // namespace covet
