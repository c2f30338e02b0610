// The service manager that started covet-init (`--service`), spoken to as systemd is: datagrams to $NOTIFY_SOCKET, descriptors by $LISTEN_FDS.
// Without one every call does nothing. sd_notify(3), sd_listen_fds(3), systemd.service(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sys/fd.h"
#include "sys/result.h"

namespace covet {

struct NamedFd {
  std::string name;
  Fd fd;
};

class Service {
 public:
  // From the environment, which keeps $NOTIFY_SOCKET and $WATCHDOG_USEC for a covet-init that takes this one's place. Fails with the errno of
  // socket(2), or EINVAL when there is no such environment.
  Status open();
  bool isOn() const { return static_cast<bool>(socket_); }
  // How often it must hear `alive`; 0: it does not watch.
  int64_t watchdogMs() const { return watchdogMs_; }

  // What it started us with, once.
  std::vector<NamedFd> takeDescriptors();

  void ready() { tell("READY=1"); }
  void alive() { tell("WATCHDOG=1"); }
  void status(std::string_view text);
  // The end has begun and may last so long.
  void stopping(int64_t withinMs);
  // False when it does not take it: then the descriptor is not kept.
  bool keep(const std::string& name, int fd);
  void letGo(const std::string& name) { tell("FDSTOREREMOVE=1\nFDNAME=" + name); }

  // A child is not the service, and must not speak or be taken for it.
  static void forgetEnvironment();

 private:
  bool tell(std::string_view text, int fd = -1);

  Fd socket_;
  int64_t watchdogMs_ = 0;
};

}  // namespace covet
