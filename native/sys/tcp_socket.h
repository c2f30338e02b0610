// A TCP socket of a reuseport group, as a server wants it before it is lent: bound, not yet listening.
// SO_REUSEADDR too, as Node sets it: connections in TIME_WAIT do not keep a port from its owner. TCP_NODELAY and SO_KEEPALIVE are
// inherited by every accepted connection. tcp(7), ip(7), ipv6(7), socket(7).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "fd.h"
#include "result.h"

namespace covet {

struct TcpAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  bool isDual = false;  // ::, and IPv4 on the same socket

  uint16_t port() const;
  void setPort(uint16_t port);
};

// `host` is numeric: names were resolved by whoever asks. Fails with EINVAL.
Result<TcpAddress> tcpAddress(int family, const char* host, uint16_t port, bool isDual);

// Fails with EADDRINUSE when anyone listens there, even one that would share the port: two apps of one user must not halve each
// other's connections without a word. Also EACCES (privileged port), EADDRNOTAVAIL, EAFNOSUPPORT.
Status probeAddress(const TcpAddress& address);

// A bound member for the group of `address`. Port 0 takes a free one, told by boundPort.
Result<Fd> tcpSocket(const TcpAddress& address);

Result<uint16_t> boundPort(int socket);

}  // namespace covet
