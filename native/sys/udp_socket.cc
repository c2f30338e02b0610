// UDP sockets of a reuseport group; see udp_socket.h.
#include "udp_socket.h"

namespace covet {

namespace {

Result<Fd> openSocket(const InetAddress& address, bool isReusable) {
  Result<Fd> fd = openInetSocket(address, SOCK_DGRAM);
  if (!fd.ok()) return fd;
  // Not as a matter of course, as for TCP: with it a datagram socket shares its address with whoever sets it too.
  if (Status set = setSocketOption(fd->get(), SOL_SOCKET, SO_REUSEADDR, isReusable); !set.ok()) return set.error();
  return fd;
}

}  // namespace

Status probeUdpAddress(const InetAddress& address, bool isReusable) {
  Result<Fd> fd = openSocket(address, isReusable);
  if (!fd.ok()) return fd.error();
  return bindInetSocket(fd->get(), address);
}

Result<Fd> udpSocket(const InetAddress& address, bool isReusable) {
  Result<Fd> fd = openSocket(address, isReusable);
  if (!fd.ok()) return fd;
  if (Status set = setSocketOption(fd->get(), SOL_SOCKET, SO_REUSEPORT, 1); !set.ok()) return set.error();
  if (Status bound = bindInetSocket(fd->get(), address); !bound.ok()) return bound.error();
  return fd;
}

}  // namespace covet
