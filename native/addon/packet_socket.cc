// SEQPACKET on the event loop; see packet_socket.h.
#include "addon/packet_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <ctime>
#include <limits>
#include <utility>

#include "addon/args.h"
#include "addon/throw.h"

namespace covet {

namespace {

constexpr size_t QUEUE_PACKETS_MAX = 1'024;  // then ENOBUFS: a peer that does not read must not fill this process
constexpr int PACKETS_PER_TURN = 64;         // then the rest of the loop has its turn; the poll is level-triggered

int64_t nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000 + now.tv_nsec / 1'000'000;
}

// The descriptors belong to JS from here on.
Napi::Array giveAway(Napi::Env env, std::vector<Fd>& fds) {
  Napi::Array array = Napi::Array::New(env, fds.size());
  for (uint32_t i = 0; i < fds.size(); i++) array.Set(i, Napi::Number::New(env, fds[i].release()));
  return array;
}

}  // namespace

Napi::Function PacketSocket::define(Napi::Env env) {
  return DefineClass(env, "PacketSocket",
                     {InstanceMethod<&PacketSocket::send>("send"), InstanceMethod<&PacketSocket::receive>("receive"),
                      InstanceMethod<&PacketSocket::start>("start"), InstanceMethod<&PacketSocket::ref>("ref"),
                      InstanceMethod<&PacketSocket::unref>("unref"), InstanceMethod<&PacketSocket::close>("close"),
                      InstanceAccessor<&PacketSocket::descriptor>("fd")});
}

PacketSocket::PacketSocket(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  // Only where it is asked for: a descriptor that a stranger sent may be of any kind.
  isDatagram_ = !args[1].IsUndefined() && args.text(args[1], "kind") == "datagram";
  if (!args.ok()) return;
  if (Status fits = expectType(fd, isDatagram_ ? SOCK_DGRAM : SOCK_SEQPACKET); !fits.ok()) {
    throwErrno(info.Env(), fits.error());
    return;
  }
  fd_.reset(fd);
}

// Collected without close(): not on the loop, or the object would have been kept; only the descriptor is left.
PacketSocket::~PacketSocket() { letGoOfPoll(); }

Napi::Value PacketSocket::send(const Napi::CallbackInfo& info) {
  Args args(info);
  std::string text = args.text(args[0], "text");
  std::vector<int> fds;
  if (!args[1].IsUndefined()) fds = args.descriptors(args[1], "fds");
  if (!args.ok()) return info.Env().Undefined();
  if (text.empty()) return throwInvalid(info.Env(), "Expected `text` not to be empty: an empty packet reads as the end");
  if (state_ == State::Closed) return throwErrno(info.Env(), {EBADF, "sendmsg"});
  if (failure_) return throwErrno(info.Env(), *failure_);

  if (queue_.empty()) {
    Status sent = sendPacket(fd_.get(), text, fds);
    if (sent.ok()) return info.Env().Undefined();
    if (sent.error().code != EAGAIN) return throwErrno(info.Env(), sent.error());
  }
  Status queued = queue(std::move(text), fds);
  if (queued.ok()) queued = watch();
  if (!queued.ok()) return throwErrno(info.Env(), queued.error());
  return info.Env().Undefined();
}

Status PacketSocket::queue(std::string text, const std::vector<int>& fds) {
  // The kernel would refuse it later, when nobody waits for the answer.
  if (text.size() > PACKET_BYTES_MAX || fds.size() > PACKET_FDS_MAX) return SysError{EMSGSIZE, "sendmsg"};
  if (queue_.size() >= QUEUE_PACKETS_MAX) return SysError{ENOBUFS, "sendmsg"};
  Outgoing packet{std::move(text), {}};
  for (int fd : fds) {
    Result<Fd> copy = duplicate(fd);
    if (!copy.ok()) return copy.error();
    packet.fds.push_back(std::move(*copy));
  }
  queue_.push_back(std::move(packet));
  return {};
}

Status PacketSocket::flush() {
  while (!queue_.empty()) {
    const Outgoing& next = queue_.front();
    std::vector<int> fds;
    for (const Fd& fd : next.fds) fds.push_back(fd.get());
    Status sent = sendPacket(fd_.get(), next.text, fds);
    if (!sent.ok()) {
      if (sent.error().code == EAGAIN) return {};
      queue_.clear();
      return sent;
    }
    queue_.pop_front();
  }
  return {};
}

Result<std::optional<Packet>> PacketSocket::take() {
  for (;;) {
    Result<Packet> packet = receivePacket(fd_.get());
    if (packet.ok()) return std::optional<Packet>(std::move(*packet));
    switch (packet.error().code) {
      case EAGAIN: return std::optional<Packet>();
      case ECONNRESET: failure_ = packet.error(); break;  // said once; then come the packets, then the end
      // Anybody may write to a path: what is too large is no word, and ends nothing. It counts as a packet of this turn.
      case EMSGSIZE:
        if (isDatagram_) return std::optional<Packet>(Packet());
        return packet.error();
      default: return packet.error();
    }
  }
}

Napi::Value PacketSocket::receive(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  int64_t timeoutMs = args.integer(args[0], "timeoutMs", 0, std::numeric_limits<int>::max());
  if (!args.ok()) return env.Undefined();
  if (state_ == State::Closed) return throwErrno(env, {EBADF, "recvmsg"});

  for (int64_t deadline = nowMs() + timeoutMs;;) {
    // The request that this waits to be answered may itself still wait here.
    if (Status sent = flush(); !sent.ok()) failure_ = sent.error();
    Result<std::optional<Packet>> taken = take();
    if (!taken.ok()) return throwErrno(env, taken.error());
    if (std::optional<Packet>& packet = *taken) {
      if (packet->isEnd) return env.Null();
      Napi::Object result = Napi::Object::New(env);
      result.Set("text", Napi::String::New(env, packet->text));
      result.Set("fds", giveAway(env, packet->fds));
      return result;
    }
    int64_t leftMs = deadline - nowMs();
    if (leftMs <= 0) return throwErrno(env, {ETIMEDOUT, "recvmsg"});
    pollfd entry{fd_.get(), static_cast<short>(queue_.empty() ? POLLIN : POLLIN | POLLOUT), 0};
    if (poll(&entry, 1, static_cast<int>(leftMs)) < 0 && errno != EINTR) return throwErrno(env, lastError("poll"));
  }
}

Napi::Value PacketSocket::start(const Napi::CallbackInfo& info) {
  Args args(info);
  Napi::Function onPacket = args.function(args[0], "onPacket");
  Napi::Function onEnd = args.function(args[1], "onEnd");
  if (!args.ok()) return info.Env().Undefined();
  if (state_ == State::Closed) return throwErrno(info.Env(), {EBADF, "start"});
  if (state_ != State::Idle) return throwErrno(info.Env(), {EALREADY, "start"});
  state_ = State::Reading;
  if (Status watched = watch(); !watched.ok()) {
    state_ = State::Idle;
    return throwErrno(info.Env(), watched.error());
  }
  onPacket_ = Napi::Persistent(onPacket);
  onEnd_ = Napi::Persistent(onEnd);
  return info.Env().Undefined();
}

Status PacketSocket::watch() {
  int wanted = (state_ == State::Reading ? UV_READABLE : 0) | (queue_.empty() ? 0 : UV_WRITABLE);
  if (wanted == watched_) return {};
  if (wanted == 0) {
    letGoOfPoll();
    return {};
  }
  if (poll_ == nullptr) {
    if (Status opened = openPoll(); !opened.ok()) return opened;
  }
  if (int code = uv_poll_start(&poll_->handle, wanted, onReady); code < 0) return SysError{-code, "epoll_ctl"};
  watched_ = wanted;
  return {};
}

Status PacketSocket::openPoll() {
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(Env(), &loop) != napi_ok) return SysError{EINVAL, "uv_poll_init"};
  Poll* poll = new Poll{};
  if (int code = uv_poll_init(loop, &poll->handle, fd_.get()); code < 0) {
    delete poll;
    return SysError{-code, "epoll_ctl"};
  }
  poll->handle.data = poll;
  poll->socket = this;
  if (!isReferenced_) uv_unref(reinterpret_cast<uv_handle_t*>(&poll->handle));
  napi_add_async_cleanup_hook(Env(), onEnvironmentEnd, poll, &poll->hook);
  poll_ = poll;
  Ref();  // until letGoOfPoll
  return {};
}

void PacketSocket::letGoOfPoll() {
  if (poll_ == nullptr) return;
  Poll* poll = std::exchange(poll_, nullptr);
  poll->socket = nullptr;
  watched_ = 0;
  closeHandle(poll);
  Unref();
}

void PacketSocket::closeHandle(Poll* poll) {
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&poll->handle);
  if (uv_is_closing(handle)) return;
  // Takes the descriptor out of epoll now, so it may be closed at once; the memory is libuv's until the callback.
  uv_close(handle, [](uv_handle_t* closed) {
    Poll* done = static_cast<Poll*>(closed->data);
    napi_remove_async_cleanup_hook(done->hook);
    delete done;
  });
}

void PacketSocket::onEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
  // No JS runs any more. The close callback above removes the hook, and the environment waits for that.
  Poll* poll = static_cast<Poll*>(data);
  if (poll->socket != nullptr) poll->socket->shut();
  closeHandle(poll);
}

void PacketSocket::onReady(uv_poll_t* handle, int status, int) {
  PacketSocket* socket = static_cast<Poll*>(handle->data)->socket;
  if (socket == nullptr) return;
  Napi::HandleScope scope(socket->Env());
  [[maybe_unused]] Napi::Object self = socket->Value();  // over a close() in a callback
  // The socket has an error pending: libuv has stopped the poll. The calls below learn which.
  if (status < 0) socket->watched_ = 0;

  if (Status sent = socket->flush(); !sent.ok()) socket->failure_ = sent.error();
  socket->readSome();
  if (socket->state_ == State::Closed) return;
  if (Status watched = socket->watch(); !watched.ok()) socket->end(watched.error());
}

void PacketSocket::readSome() {
  for (int i = 0; i < PACKETS_PER_TURN && state_ == State::Reading; i++) {
    Result<std::optional<Packet>> taken = take();
    if (!taken.ok()) return end(taken.error());
    std::optional<Packet>& packet = *taken;
    if (!packet) break;
    if (packet->isEnd) return end(failure_);
    Napi::HandleScope scope(Env());
    onPacket_.MakeCallback(Value(), {Napi::String::New(Env(), packet->text), giveAway(Env(), packet->fds), Napi::Number::New(Env(), packet->sender)});
    reportUncaught(Env());
  }
}

void PacketSocket::end(std::optional<SysError> error) {
  if (state_ != State::Reading) return;
  state_ = State::Ended;
  queue_.clear();
  letGoOfPoll();
  Napi::FunctionReference onEnd = std::move(onEnd_);
  onPacket_.Reset();
  Napi::HandleScope scope(Env());
  onEnd.MakeCallback(Value(), {error ? static_cast<napi_value>(errnoError(Env(), *error).Value()) : Env().Null()});
  reportUncaught(Env());
}

void PacketSocket::shut() {
  if (state_ == State::Closed) return;
  state_ = State::Closed;
  queue_.clear();
  letGoOfPoll();
  fd_.reset();
}

Napi::Value PacketSocket::close(const Napi::CallbackInfo& info) {
  shut();
  onPacket_.Reset();
  onEnd_.Reset();
  return info.Env().Undefined();
}

Napi::Value PacketSocket::ref(const Napi::CallbackInfo& info) {
  isReferenced_ = true;
  if (poll_ != nullptr) uv_ref(reinterpret_cast<uv_handle_t*>(&poll_->handle));
  return info.Env().Undefined();
}

Napi::Value PacketSocket::unref(const Napi::CallbackInfo& info) {
  isReferenced_ = false;
  if (poll_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(&poll_->handle));
  return info.Env().Undefined();
}

Napi::Value PacketSocket::descriptor(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_.get()); }

}  // namespace covet
