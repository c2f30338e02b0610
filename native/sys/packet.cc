// Packets with descriptors; see packet.h.
#include "packet.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstring>

namespace covet {

namespace {

constexpr size_t CONTROL_BYTES = CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX) + CMSG_SPACE(sizeof(ucred));

// recvmsg(2) returns 0 both for an empty packet and for the end; only at the end has the socket hung up.
bool hasHungUp(int socket) {
  pollfd entry{socket, 0, 0};
  return poll(&entry, 1, 0) == 1 && (entry.revents & (POLLHUP | POLLERR)) != 0;
}

void takeControl(msghdr& message, Packet& into) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred sender;
      memcpy(&sender, CMSG_DATA(part), sizeof sender);
      into.sender = sender.pid;
    }
    if (part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      into.fds.emplace_back(fd);
    }
  }
}

}  // namespace

Status expectType(int fd, int expected) {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) return lastError("getsockopt");
  if (type != expected) return SysError{EPROTOTYPE, "getsockopt"};
  return {};
}

Result<SocketPair> socketPair(PairKind kind) {
  int type = kind == PairKind::Seqpacket ? SOCK_SEQPACKET : SOCK_STREAM;
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) return lastError("socketpair");
  return SocketPair{Fd(ends[0]), Fd(ends[1])};
}

Status sendPacket(int socket, std::string_view text, std::span<const int> fds) {
  if (text.size() > PACKET_BYTES_MAX || fds.size() > PACKET_FDS_MAX) return SysError{EMSGSIZE, "sendmsg"};
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CONTROL_BYTES];
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    memset(control, 0, message.msg_controllen);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return lastError("sendmsg");
  return {};
}

Result<Packet> receivePacket(int socket) {
  // Read here and copied to its size: a packet that waits in a queue must not hold 64 KiB. One thread per process receives at a time
  // on this buffer, hence thread_local.
  static thread_local char buffer[PACKET_BYTES_MAX];
  iovec part{buffer, sizeof buffer};
  alignas(cmsghdr) char control[CONTROL_BYTES];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size;
  do size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (size < 0 && errno == EINTR);
  if (size < 0) return lastError("recvmsg");

  Packet packet;
  takeControl(message, packet);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return SysError{EMSGSIZE, "recvmsg"};
  packet.text.assign(buffer, static_cast<size_t>(size));
  packet.isEnd = size == 0 && packet.fds.empty() && hasHungUp(socket);
  return packet;
}

}  // namespace covet
