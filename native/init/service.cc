// Notifications; see service.h.
#include "init/service.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "init/say.h"

namespace covet {

namespace {

constexpr int LISTEN_FDS_FIRST = 3;
constexpr int SEND_MAX_S = 5;  // a manager that reads nothing for so long is not waited for
constexpr const char* VARIABLES[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "FDSTORE", "MAINPID"};

int64_t numberOf(const char* variable) {
  const char* text = getenv(variable);
  int64_t value = 0;
  if (text == nullptr) return 0;
  auto [end, problem] = std::from_chars(text, text + strlen(text), value);
  return problem == std::errc() && *end == '\0' ? value : 0;
}

// A path, or a name of the abstract namespace after '@'.
Status connectTo(int socket, const char* name) {
  sockaddr_un address{};
  size_t length = strlen(name);
  if ((name[0] != '/' && name[0] != '@') || length >= sizeof address.sun_path) return SysError{EINVAL, "NOTIFY_SOCKET"};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, name, length);
  if (name[0] == '@') address.sun_path[0] = '\0';
  socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + (name[0] == '/' ? 1 : 0));
  if (connect(socket, reinterpret_cast<sockaddr*>(&address), size) < 0) return lastError("connect");
  return {};
}

}  // namespace

Status Service::open() {
  const char* name = getenv("NOTIFY_SOCKET");
  if (name == nullptr) return SysError{EINVAL, "NOTIFY_SOCKET"};
  Fd made(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!made) return lastError("socket");
  timeval limit{SEND_MAX_S, 0};
  if (setsockopt(made.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0) return lastError("setsockopt");
  if (Status connected = connectTo(made.get(), name); !connected.ok()) return connected;
  socket_ = std::move(made);
  watchdogMs_ = numberOf("WATCHDOG_USEC") / 1'000;
  return {};
}

std::vector<NamedFd> Service::takeDescriptors() {
  std::vector<NamedFd> given;
  int64_t count = numberOf("LISTEN_PID") == getpid() ? numberOf("LISTEN_FDS") : 0;
  const char* names = getenv("LISTEN_FDNAMES");
  std::string_view rest = names == nullptr ? "" : names;
  for (int fd = LISTEN_FDS_FIRST; fd < LISTEN_FDS_FIRST + count; fd++) {
    std::string_view name = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (setCloexec(fd, true).ok()) given.push_back({std::string(name), Fd(fd)});
  }
  // Spoken once: our pid is that of whoever takes our place.
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(variable);
  return given;
}

void Service::status(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (c == '\n') c = ' ';  // a line more would be another word to the manager
  }
  tell("STATUS=" + line);
}

void Service::stopping(int64_t withinMs) {
  tell("STOPPING=1");
  if (withinMs > 0) tell("EXTEND_TIMEOUT_USEC=" + std::to_string(withinMs * 1'000));
}

// FDPOLL=0: it would else drop a pipe or a pidfd whose other side ended, which is just when it is wanted.
bool Service::keep(const std::string& name, int fd) { return tell("FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, fd); }

void Service::forgetEnvironment() {
  for (const char* variable : VARIABLES) unsetenv(variable);
}

bool Service::tell(std::string_view text, int fd) {
  if (!socket_) return false;
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t sent;
  do sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) say("The service manager did not take \"%.*s\": %s.", static_cast<int>(text.find('\n') == text.npos ? text.size() : text.find('\n')), text.data(), strerror(errno));
  return sent >= 0;
}

}  // namespace covet
