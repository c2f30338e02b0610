// Making the sockets of a group in the one order that keeps every connection: bind all, hold every connection on the first, listen on
// the first, then on the rest. sock_reuseport.c: a program attached before listen(2) makes its socket member 0.
#pragma once

#include "init/groups.h"

namespace covet {

// The first members: the asker's, the guard and the other of the pair, or only one where the kernel refuses a program (or one half was
// asked for). Leaves `group` empty on failure: EADDRINUSE, EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EMFILE.
Status openMembers(Group& group, Asker asker, bool hasTwoHalves);

// A pair for one more slot (or a single one), with the next indices. On failure the group is as it was.
Status appendMembers(Group& group, Asker asker);

// The guard is closed last, the others from the last to the first: so those that are left keep their indices until there are but the first and
// the guard, and then the guard alone. In another order the program would name none of those that are left, the hash would pick one, and
// whoever came in by that would be reset a moment later: so it is where the guard had to be made anew (openGuard).
void closeMembers(Group& group);

// The guard of a group that has all but that, with the last index, and a program that picks among the half that serves: the one that is there
// picks by the places that members had while the group had a guard. On failure the group is as it was.
Status openGuard(Group& group);

}  // namespace covet
