// A TCP listener's accept queue, as TCP_INFO tells it: the honest signal that nobody accepts. tcp(7); tcp_get_info() in
// net/ipv4/tcp.c puts sk_ack_backlog in tcpi_unacked and sk_max_ack_backlog in tcpi_sacked of a listening socket.
#pragma once

#include <cstdint>

#include "result.h"

namespace covet {

struct TcpQueue {
  bool isListening;
  uint32_t depth;
  uint32_t max;
};

// depth and max are 0 unless the socket listens. Fails with EBADF, ENOTSOCK, and for what is not TCP EOPNOTSUPP (which libuv names
// ENOTSUP) or ENOPROTOOPT.
Result<TcpQueue> tcpQueue(int socket);

}  // namespace covet
