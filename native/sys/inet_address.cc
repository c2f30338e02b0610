// Addresses and bound sockets of the internet families; see inet_address.h.
#include "inet_address.h"

#include <arpa/inet.h>

namespace covet {

uint16_t InetAddress::port() const {
  // sin_port and sin6_port lie at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

void InetAddress::setPort(uint16_t port) { reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port); }

Result<InetAddress> inetAddress(int family, const char* host, uint16_t port, bool isDual) {
  InetAddress address;
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

Result<Fd> openInetSocket(const InetAddress& address, int type) {
  int family = address.storage.ss_family;
  Fd fd(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return lastError("socket");
  if (family == AF_INET6) {
    if (Status set = setSocketOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, !address.isDual); !set.ok()) return set.error();
  }
  return fd;
}

Status bindInetSocket(int socket, const InetAddress& address) {
  if (bind(socket, reinterpret_cast<const sockaddr*>(&address.storage), address.size) < 0) return lastError("bind");
  return {};
}

Result<uint16_t> boundPort(int socket) {
  InetAddress address;
  address.size = sizeof address.storage;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address.storage), &address.size) < 0) return lastError("getsockname");
  return address.port();
}

Status setSocketOption(int socket, int level, int name, int value) {
  if (setsockopt(socket, level, name, &value, sizeof value) < 0) return lastError("setsockopt");
  return {};
}

}  // namespace covet
