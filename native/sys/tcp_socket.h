// A TCP socket of a reuseport group, as a server wants it before it is lent: bound, not yet listening.
// SO_REUSEADDR too, as Node sets it: connections in TIME_WAIT do not keep a port from its owner. TCP_NODELAY and SO_KEEPALIVE are
// inherited by every accepted connection. tcp(7), socket(7).
#pragma once

#include "inet_address.h"

namespace covet {

// Fails with EADDRINUSE when anyone listens there, even one that would share the port: two apps of one user must not halve each
// other's connections without a word. Also EACCES (privileged port), EADDRNOTAVAIL, EAFNOSUPPORT.
Status probeTcpAddress(const InetAddress& address);

// A bound member for the group of `address`. Port 0 takes a free one, told by boundPort.
Result<Fd> tcpSocket(const InetAddress& address);

// Whether no connection begins on it: what asks for one gets no answer, and asks again a second later. SO_ATTACH_FILTER, socket(7).
Status setDeaf(int socket, bool isDeaf);

}  // namespace covet
