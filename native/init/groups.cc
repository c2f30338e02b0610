// Listening sockets by group; see groups.h.
#include "init/groups.h"

#include "init/group_sockets.h"

namespace covet {

namespace {

constexpr int64_t BACKLOG_MAX = 65'535;  // the kernel cuts it to net.core.somaxconn

const char* familyName(int family) { return family == AF_UNIX ? "unix" : family == AF_INET6 ? "tcp6" : "tcp4"; }

int familyOf(const std::string& name) { return name == "tcp4" ? AF_INET : name == "tcp6" ? AF_INET6 : name == "unix" ? AF_UNIX : -1; }

SysError invalid(const char* what) { return SysError{EINVAL, what}; }

bool isIpv6Missing(const SysError& error) { return error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL; }

Status listenUnixGroup(const Message& request, Group& group, int slot) {
  std::optional<Owner> owner;
  auto uid = request.number("uid", 0, UINT32_MAX - 1), gid = request.number("gid", 0, UINT32_MAX - 1);
  if (uid.has_value() != gid.has_value()) return invalid("listen");
  if (uid) owner = Owner{static_cast<uid_t>(*uid), static_cast<gid_t>(*gid)};
  Result<UnixListener> made = listenUnix(request.text("path"), group.backlog, owner);
  if (!made.ok()) return made.error();
  group.path = std::move(made->path);
  group.members.push_back({std::move(made->fd), slot, 0});
  return {};
}

}  // namespace

Status Groups::listen(const Message& request) {
  std::string key = request.text("group");
  auto slot = request.number("slot", 0, SLOTS_MAX - 1), backlog = request.number("backlog", 0, BACKLOG_MAX);
  Group group;
  group.family = familyOf(request.text("family"));
  if (key.empty() || key.size() > KEY_BYTES_MAX || !slot || !backlog || group.family < 0) return invalid("listen");
  if (groups_.contains(key)) return SysError{EEXIST, "listen"};
  if (groups_.size() >= GROUPS_MAX) return SysError{ENOSPC, "listen"};
  group.backlog = static_cast<int>(*backlog);
  Status made = group.family == AF_UNIX ? listenUnixGroup(request, group, static_cast<int>(*slot)) : listenTcp(request, group);
  if (!made.ok()) return made;
  tellListening(request.id, groups_.emplace(std::move(key), std::move(group)).first->second);
  return {};
}

Status Groups::listenTcp(const Message& request, Group& group) {
  auto slot = request.number("slot", 0, SLOTS_MAX - 1);
  auto port = request.number("port", 0, UINT16_MAX), dual = request.number("dual", 0, 1), halves = request.number("halves", 1, 2);
  if (!port || !dual || !halves) return invalid("listen");
  for (group.host = request.text("host");;) {
    Result<TcpAddress> address = tcpAddress(group.family, group.host.c_str(), static_cast<uint16_t>(*port), *dual == 1);
    if (!address.ok()) return address.error();
    group.address = *address;
    Status made = openMembers(group, static_cast<int>(*slot), *halves == 2);
    // As Node does: where IPv6 is off, "any address" means any IPv4 address.
    if (made.ok() || group.family != AF_INET6 || group.host != "::" || *dual != 1 || !isIpv6Missing(made.error())) return made;
    group.family = AF_INET;
    group.host = "0.0.0.0";
  }
}

void Groups::tellListening(uint64_t id, const Group& group) {
  Writer reply("listening", id);
  bool isTcp = group.family != AF_UNIX;
  reply.add("port", isTcp ? group.address.port() : 0).add("halves", group.halves).add("a", 0);
  reply.add("b", group.halves == 2 ? 1 : -1).add("guard", group.halves == 2 ? 2 : -1);
  reply.add("family", familyName(group.family)).add("host", group.host);
  const auto& members = group.members;
  if (group.halves == 2) link_.send(reply.take(), {members[0].fd.get(), members[1].fd.get(), members[2].fd.get()});
  else link_.send(reply.take(), {members[0].fd.get()});
}

Status Groups::append(const Message& request) {
  auto found = groups_.find(request.text("group"));
  auto slot = request.number("slot", 0, SLOTS_MAX - 1);
  if (!slot) return invalid("append");
  if (found == groups_.end()) return SysError{ENOENT, "append"};
  Group& group = found->second;
  if (group.family == AF_UNIX) return SysError{EOPNOTSUPP, "append"};
  // Asked twice, answered alike: a slot has one pair.
  size_t first = 0;
  while (first < group.members.size() && group.members[first].slot != *slot) first++;
  if (first == group.members.size()) {
    if (Status made = appendMembers(group, static_cast<int>(*slot)); !made.ok()) return made;
  }
  tellAppended(request.id, group, first);
  return {};
}

void Groups::tellAppended(uint64_t id, const Group& group, size_t first) {
  Writer reply("appended", id);
  reply.add("a", static_cast<int64_t>(first));
  const auto& members = group.members;
  if (group.halves == 2) link_.send(reply.add("b", static_cast<int64_t>(first) + 1).take(), {members[first].fd.get(), members[first + 1].fd.get()});
  else link_.send(reply.add("b", -1).take(), {members[first].fd.get()});
}

Status Groups::close(const Message& request) {
  auto found = groups_.find(request.text("group"));
  if (found != groups_.end()) {
    if (found->second.path) removeUnixPath(*found->second.path);
    groups_.erase(found);
  }
  link_.send(Writer("ok", request.id).take());
  return {};
}

void Groups::tell(uint64_t id) {
  for (const auto& [key, group] : groups_) {
    bool isTcp = group.family != AF_UNIX;
    Writer text("group", id);
    text.add("key", key).add("family", familyName(group.family)).add("host", group.host).add("port", isTcp ? group.address.port() : 0);
    text.add("dual", group.address.isDual).add("backlog", group.backlog).add("halves", group.halves);
    if (group.path) text.add("path", group.path->path);
    link_.send(text.take());
    for (size_t index = 0; index < group.members.size(); index++) {
      const Member& member = group.members[index];
      Writer line("member", id);
      line.add("group", key).add("slot", member.slot).add("half", member.half).add("index", static_cast<int64_t>(index));
      link_.send(line.take(), {member.fd.get()});
    }
  }
}

size_t Groups::packets() const {
  size_t count = 0;
  for (const auto& [key, group] : groups_) count += 1 + group.members.size();
  return count;
}

void Groups::closeAll() {
  for (const auto& [key, group] : groups_) {
    if (group.path) removeUnixPath(*group.path);
  }
  groups_.clear();
}

}  // namespace covet
