// A Unix socket at a path, made and removed as the user of the app that asked, and removed only while it is still ours.
// Never over an existing file: whoever made that one would be cut off without a word. unix(7), setfsuid(2).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "fd.h"
#include "result.h"

namespace covet {

struct Owner {
  uid_t uid;
  gid_t gid;
};

struct UnixPath {
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;
  std::optional<Owner> owner;
};

struct UnixSocket {
  Fd fd;
  UnixPath path;
};

// Bound and listening; of SOCK_DGRAM bound, and each message comes with its sender (SO_PASSCRED). With `owner` and as root, the directory's permissions are judged as that user and the file is theirs.
// Fails with EADDRINUSE (something is at the path), ENAMETOOLONG (over 107 bytes), EACCES, ENOENT, EINVAL (empty, or a NUL byte).
Result<UnixSocket> openUnix(const std::string& path, int type, int backlog, std::optional<Owner> owner);

// Removes the file if it is still the socket that was bound there. As its owner, who may have put another folder in the path since:
// what that user may not remove stays.
void removeUnixPath(const UnixPath& path);

}  // namespace covet
