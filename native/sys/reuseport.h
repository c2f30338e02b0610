// Which socket of a SO_REUSEPORT group gets the next connection: a classic BPF program that draws a random number and returns an
// index. The kernel replaces a group's program atomically, through any member that is not locked; any user may attach one.
// socket(7) SO_ATTACH_REUSEPORT_CBPF, SO_LOCK_FILTER; net/core/sock_reuseport.c (an index that is not there falls back to the hash).
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "result.h"

namespace covet {

inline constexpr size_t GROUP_MEMBERS_MAX = 2'049;  // 1,024 slots of two sockets, and the guard

// Connections from this port of a loopback address go to `index`: how one worker is probed through the real port.
struct Steer {
  uint16_t port;
  uint32_t index;
};

// The program that picks evenly among `indices`; a repeated index weighs as often as it is named. Two instructions an index.
// `indices` must not be empty, nor hold more than GROUP_MEMBERS_MAX different ones (checked by attachSelector).
std::vector<sock_filter> selectorProgram(std::span<const uint32_t> indices, std::optional<Steer> steer);

// Fails with EINVAL (no indices, too many, or not a member of a reuseport group), EPERM (the socket is locked), ENOPROTOOPT.
Status attachSelector(int socket, std::span<const uint32_t> indices, std::optional<Steer> steer = std::nullopt);

// Back to the kernel's hash; through a locked member too.
Status detachSelector(int socket);

// From here on no program can be attached through this socket, by anyone it is lent to.
Status lockFilter(int socket);

}  // namespace covet
