// Unix sockets at a path; see unix_path.h.
#include "unix_path.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <vector>

namespace covet {

namespace {

// File access of this thread as another user, and back. Leaving uid 0 also takes CAP_DAC_OVERRIDE and its kin out of effect
// (capabilities(7)), so permission is judged as that user's own call would be. The caller is single-threaded: setgroups(2) is
// for the whole process.
class ActingAs {
 public:
  explicit ActingAs(std::optional<Owner> owner) : isActive_(owner && geteuid() == 0) {
    if (!isActive_) return;
    groups_.resize(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
    if (getgroups(static_cast<int>(groups_.size()), groups_.data()) < 0) groups_.clear();
    (void)setgroups(0, nullptr);  // refused in a user namespace that denies it: the groups are then nobody's
    gid_ = setfsgid(owner->gid);
    uid_ = setfsuid(owner->uid);
  }
  ~ActingAs() {
    if (!isActive_) return;
    setfsuid(static_cast<uid_t>(uid_));
    setfsgid(static_cast<gid_t>(gid_));
    (void)setgroups(groups_.size(), groups_.data());
  }
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  bool isActive_;
  std::vector<gid_t> groups_;
  int uid_ = 0;
  int gid_ = 0;
};

}  // namespace

Result<UnixSocket> openUnix(const std::string& path, int type, int backlog, std::optional<Owner> owner) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.find('\0') != std::string::npos) return SysError{EINVAL, "bind"};
  if (path.size() >= sizeof address.sun_path) return SysError{ENAMETOOLONG, "bind"};
  path.copy(address.sun_path, path.size());

  Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return lastError("socket");
  const int on = 1;
  // Before anybody can find it: no message is without its sender.
  if (type == SOCK_DGRAM && setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) return lastError("setsockopt");
  ActingAs user(owner);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return lastError("bind");
  struct stat made;
  if (lstat(path.c_str(), &made) < 0) return lastError("lstat");
  UnixPath bound{path, made.st_dev, made.st_ino, owner};
  if (type == SOCK_STREAM && listen(fd.get(), backlog) < 0) {
    SysError error = lastError("listen");
    removeUnixPath(bound);
    return error;
  }
  return UnixSocket{std::move(fd), std::move(bound)};
}

void removeUnixPath(const UnixPath& path) {
  // Between the look and the removal the path can be made to lead elsewhere: what happens there is not root's doing.
  ActingAs user(path.owner);
  struct stat now;
  if (lstat(path.path.c_str(), &now) < 0 || now.st_dev != path.device || now.st_ino != path.inode) return;
  unlink(path.path.c_str());
}

}  // namespace covet
