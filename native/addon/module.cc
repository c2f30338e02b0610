// The addon's exports: the interface Native of native/index.ts. Context-aware: worker_threads load it several times in one process, so
// nothing here is global and mutable.
#include <napi.h>

#include "addon/log_copier.h"
#include "addon/packet_socket.h"
#include "addon/process.h"
#include "addon/rescuer.h"
#include "addon/sockets.h"

namespace covet {

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("PacketSocket", PacketSocket::define(env));
  exports.Set("LogCopier", LogCopier::define(env));
  exports.Set("Rescuer", RescuerObject::define(env));
  exportSockets(env, exports);
  exportProcess(env, exports);
  exportProbe(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(covet, init)

}  // namespace covet
