// The order of a group's sockets; see group_sockets.h.
#include "init/group_sockets.h"

#include "sys/reuseport.h"
#include "sys/tcp_socket.h"
#include "sys/udp_socket.h"

namespace covet {

namespace {

Status probeAddress(const Group& group) {
  return group.type == SOCK_DGRAM ? probeUdpAddress(group.address, group.isReusable) : probeTcpAddress(group.address);
}

Result<Fd> boundSocket(const Group& group) {
  return group.type == SOCK_DGRAM ? udpSocket(group.address, group.isReusable) : tcpSocket(group.address);
}

Status addBound(Group& group, int slot, int half) {
  Result<Fd> fd = boundSocket(group);
  if (!fd.ok()) return fd.error();
  group.members.push_back({std::move(*fd), slot, half});
  return {};
}

// Port 0: the kernel gives one that nobody has. It is asked for with a socket of its own, kept until the members are bound to the number:
// a socket that asked itself forgets its port when it is shut down, and would listen on another one after that.
Result<Fd> choosePort(Group& group) {
  Result<Fd> chooser = boundSocket(group);
  if (!chooser.ok()) return chooser;
  Result<uint16_t> port = boundPort(chooser->get());
  if (!port.ok()) return port.error();
  group.address.setPort(*port);
  return chooser;
}

// A datagram socket is open once it is bound.
Status listenFrom(Group& group, size_t first) {
  for (size_t i = first; i < group.members.size(); i++) {
    if (group.type == SOCK_STREAM && ::listen(group.members[i].fd.get(), group.backlog) < 0) return lastError("listen");
    if (group.members[i].half < 0) continue;
    if (Status locked = lockFilter(group.members[i].fd.get()); !locked.ok()) return locked;
  }
  return {};
}

Status bindFirst(Group& group, Asker asker, bool hasTwoHalves) {
  Fd chooser;
  if (group.address.port() == 0) {
    Result<Fd> chosen = choosePort(group);
    if (!chosen.ok()) return chosen.error();
    chooser = std::move(*chosen);
  } else if (Status probed = probeAddress(group); !probed.ok()) {
    return probed;
  }
  if (Status bound = addBound(group, asker.slot, asker.half); !bound.ok() || !hasTwoHalves) return bound;
  if (Status bound = addBound(group, -1, -1); !bound.ok()) return bound;
  return addBound(group, asker.slot, 1 - asker.half);
}

}  // namespace

Status openMembers(Group& group, Asker asker, bool hasTwoHalves) {
  Status done = bindFirst(group, asker, hasTwoHalves);
  if (done.ok() && hasTwoHalves) {
    const uint32_t first[] = {0};
    if (Status attached = attachSelector(group.members[0].fd.get(), first); !attached.ok()) {
      group.members.resize(1);  // seccomp or gVisor: one half, spread by the kernel's hash
      hasTwoHalves = false;
    }
  }
  group.halves = hasTwoHalves ? 2 : 1;
  if (done.ok()) done = listenFrom(group, 0);
  if (!done.ok()) closeMembers(group);
  return done;
}

void closeMembers(Group& group) {
  for (size_t i = group.members.size(); i-- > 0;) {
    if (group.members[i].half >= 0) group.members[i].fd.reset();
  }
  group.members.clear();
}

Status openGuard(Group& group) {
  size_t first = group.members.size();
  std::vector<uint32_t> serving;
  for (size_t i = 0; i < first; i++) {
    if (group.members[i].half == group.servingHalf) serving.push_back(static_cast<uint32_t>(i));
  }
  Status done = addBound(group, -1, -1);
  if (!done.ok()) return done;
  int guard = group.members.back().fd.get();
  // From its listen() to the new program it may be picked by the old one, and whoever it gets would be reset. A kernel that refuses leaves that to chance.
  (void)setDeaf(guard, true);
  done = listenFrom(group, first);
  if (done.ok()) (void)attachSelector(guard, serving);  // refused: the supervisor will say so
  (void)setDeaf(guard, false);
  if (!done.ok()) group.members.pop_back();
  return done;
}

Status appendMembers(Group& group, Asker asker) {
  size_t first = group.members.size();
  Status done = addBound(group, asker.slot, asker.half);
  if (done.ok() && group.halves == 2) done = addBound(group, asker.slot, 1 - asker.half);
  if (done.ok()) done = listenFrom(group, first);
  // From the end: the members that stay keep their indices.
  while (!done.ok() && group.members.size() > first) group.members.pop_back();
  return done;
}

}  // namespace covet
