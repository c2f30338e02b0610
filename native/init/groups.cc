// Listening sockets by group; see groups.h.
#include "init/groups.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "init/group_sockets.h"

namespace covet {

namespace {

constexpr int64_t BACKLOG_MAX = 65'535;  // the kernel cuts it to net.core.somaxconn

struct Family {
  const char* name;
  int family, type;
};

constexpr Family FAMILIES[] = {
    {"tcp4", AF_INET, SOCK_STREAM}, {"tcp6", AF_INET6, SOCK_STREAM}, {"udp4", AF_INET, SOCK_DGRAM}, {"udp6", AF_INET6, SOCK_DGRAM}, {"unix", AF_UNIX, SOCK_STREAM}, {"unixgram", AF_UNIX, SOCK_DGRAM},
};

const char* familyName(const Group& group) {
  auto is = [&](const Family& one) { return one.family == group.family && one.type == group.type; };
  return std::find_if(std::begin(FAMILIES), std::end(FAMILIES), is)->name;
}

bool setFamily(Group& group, const std::string& name) {
  auto found = std::find_if(std::begin(FAMILIES), std::end(FAMILIES), [&](const Family& one) { return name == one.name; });
  if (found == std::end(FAMILIES)) return false;
  group.family = found->family;
  group.type = found->type;
  return true;
}

SysError invalid(const char* what) { return SysError{EINVAL, what}; }

bool isIpv6Missing(const SysError& error) { return error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL; }

std::optional<Asker> askerOf(const Message& request) {
  auto slot = request.number("slot", 0, SLOTS_MAX - 1), half = request.number("half", 0, 1);
  if (!slot || !half) return std::nullopt;
  return Asker{static_cast<int>(*slot), static_cast<int>(*half)};
}

// -1 when the slot has none on that half.
int64_t indexOf(const Group& group, int slot, int half) {
  for (size_t index = 0; index < group.members.size(); index++) {
    if (group.members[index].slot == slot && group.members[index].half == half) return static_cast<int64_t>(index);
  }
  return -1;
}

Status openUnixGroup(const Message& request, Group& group, Asker asker) {
  std::optional<Owner> owner;
  auto uid = request.number("uid", 0, UINT32_MAX - 1), gid = request.number("gid", 0, UINT32_MAX - 1);
  if (uid.has_value() != gid.has_value()) return invalid("listen");
  if (uid) owner = Owner{static_cast<uid_t>(*uid), static_cast<gid_t>(*gid)};
  Result<UnixSocket> made = openUnix(request.text("path"), group.type, group.backlog, owner);
  if (!made.ok()) return made.error();
  group.path = std::move(made->path);
  group.members.push_back({std::move(made->fd), asker.slot, asker.half});
  return {};
}

// The file is removed only while it is still the socket that was bound there.
void tellPath(Writer& text, const UnixPath& path) {
  text.add("path", path.path).add("device", static_cast<int64_t>(path.device)).add("inode", static_cast<int64_t>(path.inode));
  if (path.owner) text.add("uid", path.owner->uid).add("gid", path.owner->gid);
}

std::optional<UnixPath> pathOf(const Message& told) {
  auto device = told.number("device", 0, INT64_MAX), inode = told.number("inode", 0, INT64_MAX);
  auto uid = told.number("uid", 0, UINT32_MAX - 1), gid = told.number("gid", 0, UINT32_MAX - 1);
  if (!device || !inode) return std::nullopt;
  UnixPath path{told.text("path"), static_cast<dev_t>(*device), static_cast<ino_t>(*inode), std::nullopt};
  if (uid && gid) path.owner = Owner{static_cast<uid_t>(*uid), static_cast<gid_t>(*gid)};
  return path;
}

std::optional<Group> groupOf(const Message& told) {
  Group group;
  bool isKnown = setFamily(group, told.text("family"));
  group.host = told.text("host");
  group.note = told.text("note");
  auto port = told.number("port", 0, UINT16_MAX), dual = told.number("dual", 0, 1);
  auto backlog = told.number("backlog", 0, BACKLOG_MAX), halves = told.number("halves", 1, 2);
  if (!isKnown || !port || !dual || !backlog || !halves) return std::nullopt;
  group.backlog = static_cast<int>(*backlog);
  group.halves = static_cast<int>(*halves);
  group.servingHalf = static_cast<int>(told.number("serving", 0, 1).value_or(0));
  group.isReusable = told.number("reuse", 0, 1).value_or(0) == 1;
  group.isShared = told.number("shared", 0, 1).value_or(0) == 1;
  if (group.family == AF_UNIX) {
    group.path = pathOf(told);
    return group.path ? std::optional(std::move(group)) : std::nullopt;
  }
  Result<InetAddress> address = inetAddress(group.family, group.host.c_str(), static_cast<uint16_t>(*port), *dual == 1);
  if (!address.ok()) return std::nullopt;
  group.address = *address;
  return group;
}

void end(Group& group) {
  if (group.path) removeUnixPath(*group.path);
  closeMembers(group);
}

}  // namespace

Status Groups::listen(const Message& request) {
  std::string key = request.text("group");
  auto asker = askerOf(request);
  auto backlog = request.number("backlog", 0, BACKLOG_MAX);
  Group group;
  bool isKnown = setFamily(group, request.text("family"));
  group.note = request.text("note");
  if (key.empty() || key.size() > KEY_BYTES_MAX || !asker || !backlog || !isKnown) return invalid("listen");
  if (group.note.size() > NOTE_BYTES_MAX) return SysError{EMSGSIZE, "listen"};
  if (groups_.contains(key)) return SysError{EEXIST, "listen"};
  if (groups_.size() >= GROUPS_MAX) return SysError{ENOSPC, "listen"};
  group.backlog = static_cast<int>(*backlog);
  const Activated* activated = findActivated(request, group);
  Status made = activated != nullptr ? listenActivated(*activated, group, *asker) : group.family == AF_UNIX ? openUnixGroup(request, group, *asker) : listenInet(request, group, *asker);
  if (!made.ok()) return made;
  tellListening(request.id, groups_.emplace(std::move(key), std::move(group)).first->second);
  return {};
}

Status Groups::listenInet(const Message& request, Group& group, Asker asker) {
  auto port = request.number("port", 0, UINT16_MAX), dual = request.number("dual", 0, 1), halves = request.number("halves", 1, 2);
  if (!port || !dual || !halves || (group.type == SOCK_DGRAM && *halves == 2)) return invalid("listen");
  group.isReusable = request.number("reuse", 0, 1).value_or(0) == 1;
  for (group.host = request.text("host");;) {
    Result<InetAddress> address = inetAddress(group.family, group.host.c_str(), static_cast<uint16_t>(*port), *dual == 1);
    if (!address.ok()) return address.error();
    group.address = *address;
    Status made = openMembers(group, asker, *halves == 2);
    // As Node does for a server: where IPv6 is off, "any address" means any IPv4 address.
    if (made.ok() || group.type == SOCK_DGRAM || group.family != AF_INET6 || group.host != "::" || *dual != 1 || !isIpv6Missing(made.error())) return made;
    group.family = AF_INET;
    group.host = "0.0.0.0";
  }
}

void Groups::tellListening(uint64_t id, const Group& group) {
  Writer reply("listening", id);
  bool hasPort = group.family != AF_UNIX;
  bool hasTwo = group.halves == 2;
  reply.add("port", hasPort ? group.address.port() : 0).add("halves", group.halves);
  reply.add("a", 0).add("b", hasTwo ? 2 : -1).add("guard", hasTwo ? 1 : -1);
  reply.add("family", familyName(group)).add("host", group.host).add("shared", group.isShared);
  const auto& members = group.members;
  if (hasTwo) link_.send(reply.take(), {members[0].fd.get(), members[2].fd.get(), members[1].fd.get()});
  else link_.send(reply.take(), {members[0].fd.get()});
}

Status Groups::append(const Message& request) {
  auto found = groups_.find(request.text("group"));
  auto asker = askerOf(request);
  if (!asker) return invalid("append");
  if (found == groups_.end()) return SysError{ENOENT, "append"};
  Group& group = found->second;
  if (group.family == AF_UNIX || group.isShared) return SysError{EOPNOTSUPP, "append"};
  // Asked twice, answered alike: a slot has one pair.
  if (indexOf(group, asker->slot, 0) < 0 && indexOf(group, asker->slot, 1) < 0) {
    if (Status made = appendMembers(group, *asker); !made.ok()) return made;
  }
  tellAppended(request.id, group, *asker);
  return {};
}

void Groups::tellAppended(uint64_t id, const Group& group, Asker asker) {
  int64_t own = indexOf(group, asker.slot, asker.half), other = indexOf(group, asker.slot, 1 - asker.half);
  if (own < 0) std::swap(own, other);  // the one socket of a group with one half, asked for by the other
  Writer reply("appended", id);
  reply.add("a", own).add("b", other);
  const auto& members = group.members;
  if (other >= 0) link_.send(reply.take(), {members[own].fd.get(), members[other].fd.get()});
  else link_.send(reply.take(), {members[own].fd.get()});
}

// What the kernel does when a member leaves its group and listens again: the last one takes its place, and it comes back as the last.
Status Groups::moved(const Message& request) {
  auto found = groups_.find(request.text("group"));
  auto index = request.number("index", 0, SLOTS_MAX * 2);
  if (!index) return invalid("moved");
  if (found == groups_.end()) return SysError{ENOENT, "moved"};
  std::vector<Member>& members = found->second.members;
  if (*index >= static_cast<int64_t>(members.size())) return invalid("moved");
  std::swap(members[static_cast<size_t>(*index)], members.back());
  link_.send(Writer("ok", request.id).take());
  return {};
}

// A slot that leaves for good must not be chosen any more. Its worker, if it has one, is the last to have the socket, and ends that by closing it.
Status Groups::drop(const Message& request) {
  auto found = groups_.find(request.text("group"));
  auto slot = request.number("slot", 0, SLOTS_MAX - 1);
  if (!slot) return invalid("drop");
  if (found == groups_.end()) return SysError{ENOENT, "drop"};
  // Elsewhere it would renumber the others, or end the one socket of all.
  if (found->second.type != SOCK_DGRAM || found->second.isShared) return SysError{EOPNOTSUPP, "drop"};
  std::erase_if(found->second.members, [&](const Member& member) { return member.slot == *slot; });
  link_.send(Writer("ok", request.id).take());
  return {};
}

Status Groups::close(const Message& request) {
  auto found = groups_.find(request.text("group"));
  if (found != groups_.end()) {
    end(found->second);
    groups_.erase(found);
  }
  link_.send(Writer("ok", request.id).take());
  return {};
}

void Groups::tell(PacketSink& to, uint64_t id) const {
  for (const auto& [key, group] : groups_) {
    bool hasPort = group.family != AF_UNIX;
    Writer text("group", id);
    text.add("key", key).add("family", familyName(group)).add("host", group.host).add("port", hasPort ? group.address.port() : 0);
    text.add("dual", group.address.isDual).add("backlog", group.backlog).add("halves", group.halves);
    if (group.type == SOCK_DGRAM) text.add("reuse", group.isReusable);
    if (group.path) tellPath(text, *group.path);
    if (group.isShared) text.add("shared", 1);
    text.add("note", group.note);
    to.send(text.take());
    for (size_t index = 0; index < group.members.size(); index++) {
      const Member& member = group.members[index];
      Writer line("member", id);
      line.add("group", key).add("slot", member.slot).add("half", member.half).add("index", static_cast<int64_t>(index));
      to.send(line.take(), {member.fd.get()});
    }
  }
}

Status Groups::restore(const Message& told, const std::vector<int>& fds) {
  if (told.verb == "group") {
    std::optional<Group> group = groupOf(told);
    if (!group) return invalid("restore");
    groups_.insert_or_assign(told.text("key"), std::move(*group));
    return {};
  }
  auto found = groups_.find(told.text("group"));
  auto slot = told.number("slot", -1, SLOTS_MAX - 1), half = told.number("half", -1, 1);
  if (found == groups_.end() || !slot || !half || fds.size() != 1) return invalid("restore");
  // In the order of their indices, as they were told.
  found->second.members.push_back({Fd(fds[0]), static_cast<int>(*slot), static_cast<int>(*half)});
  return {};
}

Status Groups::restoreGuards() {
  for (auto& [key, group] : groups_) {
    bool hasGuard = std::any_of(group.members.begin(), group.members.end(), [](const Member& member) { return member.half < 0; });
    if (group.halves == 1 || hasGuard) continue;
    if (Status made = openGuard(group); !made.ok()) return made;
  }
  return {};
}

size_t Groups::packets() const {
  size_t count = 0;
  for (const auto& [key, group] : groups_) count += 1 + group.members.size();
  return count;
}

void Groups::closeAll() {
  for (auto& [key, group] : groups_) end(group);
  groups_.clear();
}

}  // namespace covet
