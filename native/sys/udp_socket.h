// A UDP socket of a reuseport group: bound, and so a member, for a datagram socket does not listen. It leaves the group when the last
// process that has it closes it; until then the kernel's hash may choose it, whoever reads. udp(7), socket(7).
#pragma once

#include "inet_address.h"

namespace covet {

// Whether the address is free, as bind(2) has it for a socket that shares with nobody; or, where `isReusable` (the app set SO_REUSEADDR),
// only with those who set it too. Fails with EADDRINUSE, EACCES, EADDRNOTAVAIL, EAFNOSUPPORT.
Status probeUdpAddress(const InetAddress& address, bool isReusable);

// A bound member for the group of `address`. Port 0 takes a free one, told by boundPort.
Result<Fd> udpSocket(const InetAddress& address, bool isReusable);

}  // namespace covet
