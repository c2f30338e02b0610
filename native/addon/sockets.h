// Bindings over descriptors and sockets: each validates, makes one call of sys/ and converts. Faces: native/index.ts.
#pragma once

#include <napi.h>

namespace covet {

void exportSockets(Napi::Env env, Napi::Object exports);

}  // namespace covet
