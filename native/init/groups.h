// The listening sockets that covet-init holds, by group: one address, its members in the order of their listen(2).
// That order is a member's index in the kernel's reuseport group, which the supervisor's selector program returns; so nothing is ever
// taken from the middle, and a group ends as a whole (closeMembers). Each slot has a socket for each half; the guard, the second to
// listen and never lent, is the one member through which programs are attached later, the lent ones being locked.
// A UDP group has one socket a slot and no program: the kernel hashes, an index means nothing, and a slot's socket may be dropped.
// A service manager may have opened an address before (socket activation): then that one socket is its group's only member, lent to every slot.
// Policy-free: what may be listened on, and by whom, was decided by the supervisor.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "init/link.h"
#include "init/wire.h"
#include "sys/inet_address.h"
#include "sys/unix_path.h"

namespace covet {

inline constexpr int64_t SLOTS_MAX = 1'024;    // of one group
inline constexpr size_t GROUPS_MAX = 1'024;

// The slot that a pair is for, and the half that asked: the first socket of the pair is that half's.
struct Asker {
  int slot, half;
};

struct Member {
  Fd fd;
  int slot;  // -1: the guard
  int half;  // 0, 1: who asked first has the first of a pair; -1: the guard
};

// A socket that a service manager gave. It outlives its group, and is no less open when no group has it.
struct Activated {
  Fd fd;
  int family, type;
  std::string host;  // of an internet address
  uint16_t port = 0;
  std::string path;  // of a Unix socket's
};

struct Group {
  int family = 0;  // AF_INET, AF_INET6, AF_UNIX
  int type = SOCK_STREAM;  // SOCK_DGRAM: UDP
  std::string host;
  InetAddress address;
  bool isShared = false;    // one socket for all slots, given by a service manager
  bool isReusable = false;  // UDP: the app set SO_REUSEADDR
  int backlog = 0;
  int halves = 1;
  int servingHalf = 0;  // told where the guard has to be made anew
  std::optional<UnixPath> path;
  std::string note;             // the supervisor's own, told back to its successor
  std::vector<Member> members;  // the position is the index
};

class Groups {
 public:
  explicit Groups(Link& link) : link_(link) {}
  ~Groups() { closeAll(); }

  // What a service manager opened; anything but a listening stream socket or a bound datagram socket is let go. False then.
  bool activate(Fd socket);

  // Each answers its request on the link, when it succeeded.
  Status listen(const Message& request);
  Status append(const Message& request);
  Status moved(const Message& request);
  Status drop(const Message& request);
  Status close(const Message& request);

  // A hello's part, and a state's: every group and member; `restore` takes one of them back from there, with its descriptors. EINVAL.
  void tell(PacketSink& to, uint64_t id) const;
  Status restore(const Message& told, const std::vector<int>& fds);
  // No worker had a guard to take back (record.h): it is made anew, as the last. EADDRINUSE and whatever else bind(2) and listen(2) say.
  Status restoreGuards();
  size_t packets() const;
  // For a covet-init that takes this one's place; a hello does not tell them.
  void storeActivated(PacketSink& to) const;

  // Removes the socket files; the sockets close with the process.
  void closeAll();

 private:
  Status listenActivated(const Activated& socket, Group& group, Asker asker);
  const Activated* findActivated(const Message& request, const Group& group) const;
  Status listenInet(const Message& request, Group& group, Asker asker);
  void tellListening(uint64_t id, const Group& group);
  void tellAppended(uint64_t id, const Group& group, Asker asker);

  Link& link_;
  std::map<std::string, Group> groups_;
  std::vector<Activated> activated_;
};

}  // namespace covet
