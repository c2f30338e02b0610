// TCP_INFO of a listener; see tcp_queue.h.
#include "tcp_queue.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace covet {

Result<TcpQueue> tcpQueue(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return lastError("getsockopt");
  if (info.tcpi_state != TCP_LISTEN) return TcpQueue{false, 0, 0};
  return TcpQueue{true, info.tcpi_unacked, info.tcpi_sacked};
}

}  // namespace covet
