// New connections as cheaply as a client can make them: one GET with `Connection: close` on each, many at a time, from many source
// addresses, so that the server's cost is what is measured. One thread, epoll. Prints one JSON object: what was answered, what was
// not and why, and the latencies from connect() to the last byte.
//
//   connections PORT COUNT PARALLEL
//
// Bounds: COUNT connections, 30 s without progress and it gives up.
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
#include <vector>

namespace {

constexpr int kSources = 200;
constexpr int kStallMs = 30'000;
constexpr char kRequest[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
constexpr char kOk[] = "HTTP/1.1 200";

struct Connection {
  int fd = -1;
  bool sent = false;
  size_t received = 0;
  char start[sizeof kOk] = {};
  uint64_t began_ns = 0;
};

struct Counts {
  long ok = 0, refused = 0, reset = 0, empty = 0, wrong = 0;
};

uint64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1'000'000'000u + uint64_t(t.tv_nsec);
}

void End(Connection& c, int error, Counts& counts, std::vector<uint32_t>& micros) {
  if (error == ECONNREFUSED) counts.refused++;
  else if (error != 0) counts.reset++;
  else if (c.received == 0) counts.empty++;
  else if (strncmp(c.start, kOk, sizeof kOk - 1) != 0) counts.wrong++;
  else {
    counts.ok++;
    micros.push_back(uint32_t((NowNs() - c.began_ns) / 1'000));
  }
  close(c.fd);
  c.fd = -1;
}

// Returns true when the connection has ended, with its errno in `error`.
bool Progress(Connection& c, uint32_t events, int& error) {
  if (!c.sent) {
    socklen_t size = sizeof error;
    getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return true;
    if ((events & EPOLLOUT) == 0) return false;
    if (send(c.fd, kRequest, sizeof kRequest - 1, MSG_NOSIGNAL) < 0) return error = errno, true;
    c.sent = true;
    return false;
  }
  char buffer[16'384];
  for (;;) {
    ssize_t n = recv(c.fd, buffer, sizeof buffer, 0);
    if (n > 0) {
      size_t keep = std::min(sizeof kOk - 1 - std::min(c.received, sizeof kOk - 1), size_t(n));
      memcpy(c.start + std::min(c.received, sizeof kOk - 1), buffer, keep);
      c.received += size_t(n);
      continue;
    }
    if (n == 0) return true;
    if (errno == EAGAIN) return false;
    if (errno != EINTR) return error = errno, true;
  }
}

void Open(Connection& c, int epoll, int port, long number, Counts& counts) {
  c = Connection{};
  c.began_ns = NowNs();
  c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c.fd < 0) perror("socket"), exit(1);
  int on = 1;
  setsockopt(c.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7f000002u + uint32_t(number % kSources));  // 127.0.0.2 and up
  if (bind(c.fd, reinterpret_cast<sockaddr*>(&from), sizeof from) < 0) perror("bind"), exit(1);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(uint16_t(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0 && errno != EINPROGRESS) {
    counts.refused++;
    close(c.fd);
    c.fd = -1;
    return;
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &c;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, c.fd, &event) < 0) perror("epoll_ctl"), exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "usage: connections PORT COUNT PARALLEL\n"), 2;
  const int port = atoi(argv[1]);
  const long count = atol(argv[2]);
  const int parallel = atoi(argv[3]);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Connection> connections(size_t(std::min<long>(parallel, count)));
  std::vector<uint32_t> micros;
  micros.reserve(size_t(count));
  Counts counts;
  long opened = 0, done = 0;
  const uint64_t began = NowNs();
  for (Connection& c : connections) Open(c, epoll, port, opened++, counts);
  std::vector<epoll_event> events(256);
  while (done < count) {
    int n = epoll_wait(epoll, events.data(), int(events.size()), kStallMs);
    if (n == 0) break;
    if (n < 0 && errno != EINTR) return perror("epoll_wait"), 1;
    for (int i = 0; i < n; i++) {
      Connection& c = *static_cast<Connection*>(events[size_t(i)].data.ptr);
      int error = 0;
      if (c.fd < 0 || !Progress(c, events[size_t(i)].events, error)) continue;
      End(c, error, counts, micros);
      done++;
      if (opened < count) Open(c, epoll, port, opened++, counts);
    }
  }
  const double seconds = double(NowNs() - began) / 1e9;
  std::sort(micros.begin(), micros.end());
  auto at = [&](double p) { return micros.empty() ? 0u : micros[size_t(double(micros.size() - 1) * p)]; };
  printf("{\"opened\":%ld,\"ok\":%ld,\"refused\":%ld,\"reset\":%ld,\"empty\":%ld,\"wrong\":%ld,\"unfinished\":%ld,\"seconds\":%.6f,\"p50Micros\":%u,\"p99Micros\":%u,\"maxMicros\":%u}\n",
         opened, counts.ok, counts.refused, counts.reset, counts.empty, counts.wrong, count - done, seconds, at(0.5), at(0.99), at(1));
  return 0;
}
