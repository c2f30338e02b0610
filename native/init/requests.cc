// What the supervisor asks, verb by verb; see init.h and supervisor/protocol/init-wire.ts. A request either succeeds and is answered by
// whoever performed it, or changes nothing and is answered `error` here.
#include <csignal>

#include "init/init.h"

namespace covet {

namespace {
constexpr int64_t QUIT_WAIT_MS = 5'000;  // for the killed workers and a supervisor that is about to exit
}

void Init::onPacket(Packet packet) {
  // No request carries descriptors: any that came close with the packet.
  Message request;
  if (decode(packet.text, request)) answer(request);
  else link_.send(errorText(request.id, SysError{EINVAL, "decode"}));
}

void Init::answer(const Message& request) {
  if (state_ == InitState::Ending) return;
  Status done = perform(request);
  if (!done.ok()) link_.send(errorText(request.id, done.error()));
}

Status Init::perform(const Message& request) {
  const std::string& verb = request.verb;
  if (verb == "listen") return groups_.listen(request);
  if (verb == "append") return groups_.append(request);
  if (verb == "moved") return groups_.moved(request);
  if (verb == "drop") return groups_.drop(request);
  if (verb == "close") return groups_.close(request);
  if (verb == "worker") return workers_.make(request);
  if (verb == "note") return notes_.keep(request);
  if (verb == "forget") return workers_.forget(request);
  if (verb == "program") return changeProgram(request);
  if (verb == "check" || verb == "replace") return replace(request);
  if (verb == "hello") {
    auto min = request.number("min", 0, INT32_MAX), max = request.number("max", 0, INT32_MAX);
    if (!min || !max) return SysError{EINVAL, "hello"};
    if (*min > WIRE_VERSION || *max < WIRE_VERSION) return SysError{EPROTONOSUPPORT, "hello"};
    workers_.endSpill();  // from here on the pipes are this supervisor's
    tellHeld(request.id);
    return {};
  }
  if (verb == "ready") {
    becomeReady();
    link_.send(Writer("ok", request.id).take());
    return {};
  }
  if (verb == "alive") {
    service_.alive();
    return {};
  }
  if (verb == "status") {
    service_.status(request.text("text"));
    return {};
  }
  if (verb == "stopping") {
    auto withinMs = request.number("ms", 0, INT32_MAX);
    if (!withinMs) return SysError{EINVAL, "stopping"};
    service_.stopping(*withinMs);
    return {};
  }
  if (verb == "quit") {
    auto code = request.number("code", 0, 255);
    if (!code) return SysError{EINVAL, "quit"};
    workers_.abandonUnreported();
    end(static_cast<int>(*code), SIGKILL, QUIT_WAIT_MS);
    return {};
  }
  return SysError{ENOSYS, "request"};
}

void Init::tellHeld(uint64_t id) {
  link_.allow(groups_.packets() + workers_.packets() + notes_.packets());
  Writer hello("hello", id);
  hello.add("version", WIRE_VERSION).add("pid", getpid()).add("resumed", wasReady_ ? 1 : 0);
  hello.add("service", service_.isOn() ? 1 : 0).add("watchdog", service_.watchdogMs());
  hello.add("deaths", static_cast<int64_t>(deaths_.within(nowMs())));
  link_.send(hello.add("lock", options_.lock == nullptr ? "" : options_.lock).add("log", options_.log == nullptr ? "" : options_.log).take());
  notes_.tell(link_, id);
  groups_.tell(link_, id);
  workers_.tell(link_, id);
  link_.send(Writer("end", id).take());
  if (pendingSignal_ != 0) tellSignal(pendingSignal_);
}

void Init::becomeReady() {
  wasReady_ = true;
  fallback_.clear();
  service_.ready();
  if (state_ == InitState::Serving) deadlineMs_ = -1;
  tellStarter("ready\n");
}

}  // namespace covet
