// Sockets that a service manager opened (socket activation), and their groups; see groups.h. sd_listen_fds(3), systemd.socket(5).
#include <arpa/inet.h>
#include <sys/un.h>

#include <cstddef>

#include "init/groups.h"
#include "sys/reuseport.h"

namespace covet {

namespace {

int intOption(int socket, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(socket, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

std::string hostOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  const void* raw = address.ss_family == AF_INET6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr)
                                                  : &reinterpret_cast<const sockaddr_in&>(address).sin_addr;
  inet_ntop(address.ss_family, raw, text, sizeof text);
  return text;
}

bool isAny(const std::string& host) { return host == "::" || host == "0.0.0.0"; }

}  // namespace

bool Groups::activate(Fd socket) {
  Activated made{Fd(), intOption(socket.get(), SO_DOMAIN), intOption(socket.get(), SO_TYPE), {}, 0, {}};
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  bool isOpen = made.type == SOCK_DGRAM || (made.type == SOCK_STREAM && intOption(socket.get(), SO_ACCEPTCONN) == 1);
  if (!isOpen || getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0) return false;
  if (made.family == AF_UNIX && made.type == SOCK_STREAM) {
    const auto& local = reinterpret_cast<const sockaddr_un&>(address);
    if (size <= offsetof(sockaddr_un, sun_path) || local.sun_path[0] == '\0') return false;
    made.path = local.sun_path;
  } else if (made.family == AF_INET || made.family == AF_INET6) {
    made.host = hostOf(address);
    made.port = ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  } else {
    return false;
  }
  if (!setNonblocking(socket.get()).ok() || !lockFilter(socket.get()).ok()) return false;
  made.fd = std::move(socket);
  activated_.push_back(std::move(made));
  return true;
}

// That of the address which is asked for; of every address, in either family, where one of the two is that: bind(2) would refuse a second socket.
const Activated* Groups::findActivated(const Message& request, const Group& group) const {
  std::string host = request.text("host"), path = request.text("path");
  auto port = request.number("port", 1, UINT16_MAX);
  for (const Activated& socket : activated_) {
    if (socket.type != group.type || (socket.family == AF_UNIX) != (group.family == AF_UNIX)) continue;
    if (group.family == AF_UNIX ? socket.path == path : port == socket.port && (socket.host == host || isAny(host) || isAny(socket.host))) return &socket;
  }
  return nullptr;
}

Status Groups::listenActivated(const Activated& socket, Group& group, Asker asker) {
  Result<Fd> member = duplicate(socket.fd.get());
  if (!member.ok()) return member.error();
  group.isShared = true;
  group.family = socket.family;
  if (socket.family == AF_UNIX) {
    group.path = UnixPath{socket.path, 0, 0, std::nullopt};  // no file has that number: it is the service manager's to remove
  } else {
    group.host = socket.host;
    Result<InetAddress> address = inetAddress(socket.family, socket.host.c_str(), socket.port, socket.family == AF_INET6 && socket.host == "::");
    if (!address.ok()) return address.error();
    group.address = *address;
  }
  group.members.push_back({std::move(*member), asker.slot, asker.half});
  return {};
}

void Groups::storeActivated(PacketSink& to) const {
  for (const Activated& socket : activated_) to.send(Writer("activated", 0).take(), {socket.fd.get()});
}

}  // namespace covet
