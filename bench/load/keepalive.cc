// Requests on connections that stay open, as cheaply as a client can make them: PARALLEL connections, one request at a time on each.
// One thread, epoll. Prints one JSON object. The answers must carry Content-Length and be short (a few hundred bytes).
//
//   keepalive PORT COUNT PARALLEL
//
// Bounds: COUNT requests; 30 s without progress, or any connection that ends, and it gives up.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int kStallMs = 30'000;
constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

struct Connection {
  int fd = -1;
  std::string text;
  uint64_t began_ns = 0;
};

uint64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1'000'000'000u + uint64_t(t.tv_nsec);
}

// Bytes of the response at the front of `text`, 0 while it is not whole, -1 when it is not a 200 with Content-Length.
long ResponseBytes(const std::string& text) {
  size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) return 0;
  if (text.compare(0, 12, "HTTP/1.1 200") != 0) return -1;
  size_t at = text.find("ontent-");
  while (at != std::string::npos && strncasecmp(text.c_str() + at, "ontent-length: ", 15) != 0) at = text.find("ontent-", at + 1);
  if (at == std::string::npos || at > end) return -1;
  size_t whole = end + 4 + size_t(atol(text.c_str() + at + 15));
  return text.size() >= whole ? long(whole) : 0;
}

bool Ask(Connection& c) {
  c.began_ns = NowNs();
  return send(c.fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) == ssize_t(kRequest.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "usage: keepalive PORT COUNT PARALLEL\n"), 2;
  const int port = atoi(argv[1]);
  const long count = atol(argv[2]);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Connection> connections{size_t(atoi(argv[3]))};
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(uint16_t(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (Connection& c : connections) {
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c.fd < 0 || connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0) return perror("connect"), 1;
    int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.ptr = &c;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c.fd, &event) < 0) return perror("epoll_ctl"), 1;
  }
  std::vector<uint32_t> micros;
  micros.reserve(size_t(count));
  long asked = 0, wrong = 0, lost = 0;
  const uint64_t began = NowNs();
  for (Connection& c : connections) {
    if (asked < count && Ask(c)) asked++;
  }
  std::vector<epoll_event> events(256);
  char buffer[16'384];
  while (long(micros.size()) + wrong + lost < asked) {
    int n = epoll_wait(epoll, events.data(), int(events.size()), kStallMs);
    if (n == 0) break;
    if (n < 0 && errno != EINTR) return perror("epoll_wait"), 1;
    for (int i = 0; i < n; i++) {
      Connection& c = *static_cast<Connection*>(events[size_t(i)].data.ptr);
      ssize_t got = recv(c.fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) {
        lost++;
        epoll_ctl(epoll, EPOLL_CTL_DEL, c.fd, nullptr);
        continue;
      }
      c.text.append(buffer, size_t(got));
      long bytes = ResponseBytes(c.text);
      if (bytes == 0) continue;
      if (bytes < 0) wrong++;
      else micros.push_back(uint32_t((NowNs() - c.began_ns) / 1'000));
      c.text.clear();
      if (asked < count && Ask(c)) asked++;
    }
  }
  const double seconds = double(NowNs() - began) / 1e9;
  std::sort(micros.begin(), micros.end());
  auto at = [&](double p) { return micros.empty() ? 0u : micros[size_t(double(micros.size() - 1) * p)]; };
  printf("{\"ok\":%zu,\"wrong\":%ld,\"lost\":%ld,\"unfinished\":%ld,\"seconds\":%.6f,\"p50Micros\":%u,\"p99Micros\":%u,\"maxMicros\":%u}\n", micros.size(), wrong, lost, count - long(micros.size()) - wrong - lost,
         seconds, at(0.5), at(0.99), at(1));
  return 0;
}
