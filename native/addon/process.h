// Bindings over processes and the host: pidfds, CPU affinity, execve, the feature probe. Faces: native/index.ts.
#pragma once

#include <napi.h>

namespace covet {

void exportProcess(Napi::Env env, Napi::Object exports);
void exportProbe(Napi::Env env, Napi::Object exports);

}  // namespace covet
