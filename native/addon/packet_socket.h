// PacketSocket of native/index.ts: a SEQPACKET socket on the event loop, or read by blocking for one packet.
//
//   Idle ──start──▶ Reading ──EOF, error──▶ Ended          close() from anywhere ──▶ Closed
//
// Sending goes straight to the kernel; what does not fit waits, in order, with its own duplicates of the descriptors. The socket is on
// the loop (a uv_poll_t) only while it reads or has packets waiting; for that long the JS object is kept alive. The poll handle lives
// on its own, since libuv closes it later than a callback may let go of the socket; at the end of the environment an async cleanup
// hook closes it and waits for it. uv_poll(3), node_api napi_add_async_cleanup_hook.
#pragma once

#include <napi.h>
#include <uv.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "sys/fd.h"
#include "sys/packet.h"

namespace covet {

class PacketSocket : public Napi::ObjectWrap<PacketSocket> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PacketSocket(const Napi::CallbackInfo& info);
  ~PacketSocket() override;

 private:
  enum class State { Idle, Reading, Ended, Closed };

  struct Outgoing {
    std::string text;
    std::vector<Fd> fds;
  };

  // Owned by libuv from uv_poll_init until its close callback. `socket` is null once the socket has let go of it.
  struct Poll {
    uv_poll_t handle;
    napi_async_cleanup_hook_handle hook;
    PacketSocket* socket;
  };

  Napi::Value send(const Napi::CallbackInfo& info);
  Napi::Value receive(const Napi::CallbackInfo& info);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value ref(const Napi::CallbackInfo& info);
  Napi::Value unref(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value descriptor(const Napi::CallbackInfo& info);

  // Says to libuv what is waited for now; opens or lets go of the poll handle as needed.
  Status watch();
  Status openPoll();
  void letGoOfPoll();
  static void onReady(uv_poll_t* handle, int status, int events);
  static void onEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* poll);
  static void closeHandle(Poll* poll);

  Status queue(std::string text, const std::vector<int>& fds);
  // Sends what waits, until the socket is full. A failure drops the queue: its packets can never arrive.
  Status flush();
  void readSome();
  // One packet, or nothing now. A peer that died with our packets unread is reported by ECONNRESET before the packets that it had sent:
  // these are still read.
  Result<std::optional<Packet>> take();
  void end(std::optional<SysError> error);
  void shut();

  Fd fd_;
  State state_ = State::Idle;
  bool isReferenced_ = true;
  bool isDatagram_ = false;
  std::deque<Outgoing> queue_;
  std::optional<SysError> failure_;  // of the queue or the peer; thrown by the next send, or told to onEnd
  Poll* poll_ = nullptr;
  int watched_ = 0;  // the UV_READABLE | UV_WRITABLE that libuv knows of
  Napi::FunctionReference onPacket_;
  Napi::FunctionReference onEnd_;
};

}  // namespace covet
