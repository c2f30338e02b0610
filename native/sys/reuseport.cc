// The selector program; see reuseport.h.
//
// The kernel runs it with the data pointer after the TCP header, so headers are reached by SKF_NET_OFF. A dual-stack socket sees both
// families: skb->protocol tells which. A packet with IP options or extension headers is not steered but drawn for like any other.
#include "reuseport.h"

#include <sys/socket.h>

#include <algorithm>

namespace covet {

namespace {

constexpr uint32_t NET = static_cast<uint32_t>(SKF_NET_OFF);
constexpr uint32_t ANCILLARY = static_cast<uint32_t>(SKF_AD_OFF);
constexpr uint32_t ETHERTYPE_IPV6 = 0x86dd;
constexpr uint32_t LOOPBACK_V4 = 0x7f000001;
constexpr uint32_t TCP = 6;

sock_filter load(uint16_t size, uint32_t offset) { return BPF_STMT(static_cast<uint16_t>(BPF_LD | BPF_ABS | size), offset); }

// Goes on when the accumulator is `value`, else skips `ahead` instructions.
sock_filter expect(uint32_t value, size_t ahead) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, static_cast<uint8_t>(ahead)); }

sock_filter answer(uint32_t index) { return BPF_STMT(BPF_RET | BPF_K, index); }

void appendSteer(std::vector<sock_filter>& program, const Steer& steer) {
  struct Field {
    uint16_t size;
    uint32_t offset, value;
  };
  const Field v6[] = {
      {BPF_B, NET + 6, TCP}, {BPF_W, NET + 8, 0}, {BPF_W, NET + 12, 0}, {BPF_W, NET + 16, 0}, {BPF_W, NET + 20, 1}, {BPF_H, NET + 40, steer.port},
  };
  const Field v4[] = {{BPF_B, NET, 0x45}, {BPF_W, NET + 12, LOOPBACK_V4}, {BPF_H, NET + 20, steer.port}};
  constexpr size_t V6 = 2 * std::size(v6) + 1, V4 = 2 * std::size(v4) + 1;  // a load and a compare each, then the answer

  program.push_back(load(BPF_W, ANCILLARY + SKF_AD_PROTOCOL));
  program.push_back(expect(ETHERTYPE_IPV6, V6));
  size_t end = program.size() + V6 + V4;  // where the drawing begins
  auto append = [&](std::span<const Field> fields) {
    for (const Field& field : fields) {
      program.push_back(load(field.size, field.offset));
      program.push_back(expect(field.value, end - program.size() - 1));
    }
    program.push_back(answer(steer.index));
  };
  append(v6);
  append(v4);
}

}  // namespace

std::vector<sock_filter> selectorProgram(std::span<const uint32_t> indices, std::optional<Steer> steer) {
  std::vector<sock_filter> program;
  if (steer) appendSteer(program, *steer);
  std::vector<uint32_t> sorted(indices.begin(), indices.end());
  std::sort(sorted.begin(), sorted.end());
  program.push_back(load(BPF_W, ANCILLARY + SKF_AD_RANDOM));
  program.push_back(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, static_cast<uint32_t>(sorted.size())));
  // An index repeated w times takes w of the n numbers: [before, upTo).
  for (size_t upTo = 1; upTo <= sorted.size(); upTo++) {
    if (upTo == sorted.size()) {
      program.push_back(answer(sorted.back()));
    } else if (sorted[upTo] != sorted[upTo - 1]) {
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, static_cast<uint32_t>(upTo), 1, 0));
      program.push_back(answer(sorted[upTo - 1]));
    }
  }
  return program;
}

Status attachSelector(int socket, std::span<const uint32_t> indices, std::optional<Steer> steer) {
  if (indices.empty()) return SysError{EINVAL, "setsockopt"};
  std::vector<sock_filter> program = selectorProgram(indices, steer);
  if (program.size() > BPF_MAXINSNS) return SysError{EINVAL, "setsockopt"};
  sock_fprog argument{static_cast<unsigned short>(program.size()), program.data()};
  if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &argument, sizeof argument) < 0) return lastError("setsockopt");
  return {};
}

Status detachSelector(int socket) {
  int unused = 0;
  if (setsockopt(socket, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof unused) < 0) return lastError("setsockopt");
  return {};
}

Status lockFilter(int socket) {
  int on = 1;
  if (setsockopt(socket, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) < 0) return lastError("setsockopt");
  return {};
}

}  // namespace covet
