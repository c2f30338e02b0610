// An address of the internet families with its port, and what every socket bound to one is opened with: as a stream's (tcp_socket.h) and
// a datagram socket's (udp_socket.h) are. ip(7), ipv6(7).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "fd.h"
#include "result.h"

namespace covet {

struct InetAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  bool isDual = false;  // ::, and IPv4 on the same socket

  uint16_t port() const;
  void setPort(uint16_t port);
};

// `host` is numeric: names were resolved by whoever asks. Fails with EINVAL.
Result<InetAddress> inetAddress(int family, const char* host, uint16_t port, bool isDual);

// Not bound yet; for one family or, where the address says so, for both.
Result<Fd> openInetSocket(const InetAddress& address, int type);

Status bindInetSocket(int socket, const InetAddress& address);

Result<uint16_t> boundPort(int socket);

Status setSocketOption(int socket, int level, int name, int value);

}  // namespace covet
