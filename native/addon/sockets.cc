// socketPair, duplicate, closeFd, setCloexec, setCloexecFrom, attachSelector, detachSelector, queueState, listenAgain, socketName, peerCredentials.
#include "addon/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <limits>

#include "addon/args.h"
#include "sys/cloexec.h"
#include "sys/fd.h"
#include "sys/packet.h"
#include "sys/reuseport.h"
#include "sys/tcp_queue.h"
#include "addon/throw.h"

namespace covet {

namespace {

constexpr int PORT_MAX = 65'535;
constexpr int INT_MAX_VALUE = std::numeric_limits<int>::max();

Napi::Value answer(Napi::Env env, const Status& status) {
  if (!status.ok()) return throwErrno(env, status.error());
  return env.Undefined();
}

Napi::Value makeSocketPair(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  std::string kind = args.text(args[0], "kind");
  if (kind != "seqpacket" && kind != "stream") args.refuse(args[0], "kind", "\"seqpacket\" or \"stream\"");
  if (!args.ok()) return env.Undefined();
  Result<SocketPair> pair = socketPair(kind == "seqpacket" ? PairKind::Seqpacket : PairKind::Stream);
  if (!pair.ok()) return throwErrno(env, pair.error());
  Napi::Array ends = Napi::Array::New(env, 2);
  ends.Set(0u, Napi::Number::New(env, pair->ours.release()));
  ends.Set(1u, Napi::Number::New(env, pair->theirs.release()));
  return ends;
}

Napi::Value makeDuplicate(const Napi::CallbackInfo& info) {
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  if (!args.ok()) return info.Env().Undefined();
  Result<Fd> copy = duplicate(fd);
  if (!copy.ok()) return throwErrno(info.Env(), copy.error());
  return Napi::Number::New(info.Env(), copy->release());
}

Napi::Value closeFd(const Napi::CallbackInfo& info) {
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  if (!args.ok()) return info.Env().Undefined();
  // EINTR: Linux has closed it all the same. EIO and ENOSPC too: the descriptor is gone, so nothing is left to do with it.
  if (close(fd) < 0 && errno == EBADF) return throwErrno(info.Env(), {EBADF, "close"});
  return info.Env().Undefined();
}

Napi::Value bindSetCloexec(const Napi::CallbackInfo& info) {
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  bool on = args.boolean(args[1], "on");
  if (!args.ok()) return info.Env().Undefined();
  return answer(info.Env(), setCloexec(fd, on));
}

Napi::Value bindSetCloexecFrom(const Napi::CallbackInfo& info) {
  Args args(info);
  int first = args.descriptor(args[0], "first");
  if (!args.ok()) return info.Env().Undefined();
  return answer(info.Env(), setCloexecFrom(first));
}

Napi::Value bindAttachSelector(const Napi::CallbackInfo& info) {
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  std::vector<uint32_t> indices = args.indices(args[1], "indices", GROUP_MEMBERS_MAX - 1);
  std::optional<Steer> steer;
  if (!args[2].IsUndefined()) {
    int64_t port = args.integer(args.field(args[2], "port"), "steer.port", 1, PORT_MAX);
    int64_t index = args.integer(args.field(args[2], "index"), "steer.index", 0, GROUP_MEMBERS_MAX - 1);
    steer = Steer{static_cast<uint16_t>(port), static_cast<uint32_t>(index)};
  }
  if (!args.ok()) return info.Env().Undefined();
  return answer(info.Env(), attachSelector(fd, indices, steer));
}

Napi::Value bindDetachSelector(const Napi::CallbackInfo& info) {
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  if (!args.ok()) return info.Env().Undefined();
  return answer(info.Env(), detachSelector(fd));
}

Napi::Value queueState(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  if (!args.ok()) return env.Undefined();
  Result<TcpQueue> queue = tcpQueue(fd);
  if (!queue.ok()) return throwErrno(env, queue.error());
  Napi::Object result = Napi::Object::New(env);
  result.Set("listening", Napi::Boolean::New(env, queue->isListening));
  result.Set("depth", Napi::Number::New(env, queue->depth));
  result.Set("max", Napi::Number::New(env, queue->max));
  return result;
}

Napi::Value listenAgain(const Napi::CallbackInfo& info) {
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  int backlog = static_cast<int>(args.integer(args[1], "backlog", 0, INT_MAX_VALUE));
  if (!args.ok()) return info.Env().Undefined();
  if (listen(fd, backlog) < 0) return throwErrno(info.Env(), lastError("listen"));
  return info.Env().Undefined();
}

Napi::Value inetName(Napi::Env env, int family, const void* host, in_port_t port) {
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(family, host, text, sizeof text) == nullptr) return throwErrno(env, lastError("inet_ntop"));
  Napi::Object result = Napi::Object::New(env);
  result.Set("address", Napi::String::New(env, text));
  result.Set("port", Napi::Number::New(env, ntohs(port)));
  result.Set("family", Napi::Number::New(env, family == AF_INET6 ? 6 : 4));
  return result;
}

// An abstract name keeps its leading NUL, as Node writes it; an unnamed socket has ''.
Napi::Value unixName(Napi::Env env, const sockaddr_un& name, socklen_t size) {
  size_t length = size - offsetof(sockaddr_un, sun_path);
  if (length > 0 && name.sun_path[0] != '\0') length = strnlen(name.sun_path, length);
  Napi::Object result = Napi::Object::New(env);
  result.Set("path", Napi::String::New(env, name.sun_path, length));
  return result;
}

Napi::Value socketName(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  if (!args.ok()) return env.Undefined();
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) < 0) return throwErrno(env, lastError("getsockname"));
  switch (name.ss_family) {
    case AF_INET: {
      const auto& inet = reinterpret_cast<const sockaddr_in&>(name);
      return inetName(env, AF_INET, &inet.sin_addr, inet.sin_port);
    }
    case AF_INET6: {
      const auto& inet = reinterpret_cast<const sockaddr_in6&>(name);
      return inetName(env, AF_INET6, &inet.sin6_addr, inet.sin6_port);
    }
    case AF_UNIX: return unixName(env, reinterpret_cast<const sockaddr_un&>(name), size);
    default: return throwErrno(env, {EAFNOSUPPORT, "getsockname"});
  }
}

Napi::Value peerCredentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Args args(info);
  int fd = args.descriptor(args[0], "fd");
  if (!args.ok()) return env.Undefined();
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return throwErrno(env, lastError("getsockopt"));
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  result.Set("gid", Napi::Number::New(env, peer.gid));
  return result;
}

}  // namespace

void exportSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("socketPair", Napi::Function::New<makeSocketPair>(env, "socketPair"));
  exports.Set("duplicate", Napi::Function::New<makeDuplicate>(env, "duplicate"));
  exports.Set("closeFd", Napi::Function::New<closeFd>(env, "closeFd"));
  exports.Set("setCloexec", Napi::Function::New<bindSetCloexec>(env, "setCloexec"));
  exports.Set("setCloexecFrom", Napi::Function::New<bindSetCloexecFrom>(env, "setCloexecFrom"));
  exports.Set("attachSelector", Napi::Function::New<bindAttachSelector>(env, "attachSelector"));
  exports.Set("detachSelector", Napi::Function::New<bindDetachSelector>(env, "detachSelector"));
  exports.Set("queueState", Napi::Function::New<queueState>(env, "queueState"));
  exports.Set("listenAgain", Napi::Function::New<listenAgain>(env, "listenAgain"));
  exports.Set("socketName", Napi::Function::New<socketName>(env, "socketName"));
  exports.Set("peerCredentials", Napi::Function::New<peerCredentials>(env, "peerCredentials"));
}

}  // namespace covet
