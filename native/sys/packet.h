// Packets with descriptors over an AF_UNIX SEQPACKET socket: covet-init's wire, a worker's hand-off, a hand-over pair.
// A packet arrives whole or not at all; its descriptors are CLOEXEC before anyone can fork, and owned by whoever received it.
// A datagram socket that is bound to a path is read the same way. unix(7), cmsg(3). The kernel takes 253 descriptors a packet (SCM_MAX_FD); ours are bounded lower, as is the text.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fd.h"
#include "result.h"

namespace covet {

inline constexpr size_t PACKET_BYTES_MAX = 65'536;  // INIT_PACKET_BYTES_MAX in supervisor/protocol/init-wire.ts
inline constexpr size_t PACKET_FDS_MAX = 64;        // HANDOVER_BATCH_MAX in supervisor/protocol/worker-wire.ts

struct Packet {
  std::string text;
  std::vector<Fd> fds;
  int sender = 0;      // its pid, where the socket asks for it (SO_PASSCRED)
  bool isEnd = false;  // the other side is gone; there is nothing else in this packet
};

struct SocketPair {
  Fd ours;
  Fd theirs;
};

enum class PairKind { Seqpacket, Stream };

// Fails with EPROTOTYPE when it is a socket of another type, ENOTSOCK, EBADF.
Status expectType(int fd, int expected);

// An AF_UNIX pair, both ends CLOEXEC and non-blocking. Fails with EMFILE, ENFILE.
Result<SocketPair> socketPair(PairKind kind);

// Sends one packet; the caller keeps its descriptors. Never raises SIGPIPE. Fails with EAGAIN when the socket is full (try again
// once it is writable), EPIPE or ECONNRESET when the other side is gone, EMSGSIZE, EBADF, ETOOMANYREFS.
Status sendPacket(int socket, std::string_view text, std::span<const int> fds);

// Takes one packet, never waiting. Fails with EAGAIN when there is none, EMSGSIZE when text or descriptors were more than the
// bounds (the packet is gone, its descriptors closed), ECONNRESET.
Result<Packet> receivePacket(int socket);

}  // namespace covet
