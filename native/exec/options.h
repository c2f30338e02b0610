// The command line of covet-exec. Written by the supervisor, never by hand: what does not parse is refused whole.
#pragma once

#include "setup.h"

namespace covet {

// Fills `into`. Returns the sentence that says what is wrong, or null.
const char* parseOptions(int argc, char** argv, Setup& into);

}  // namespace covet
