// Feature probes; see probe.h.
#include "probe.h"

#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdint>
#include <iterator>

#include "fd.h"
#include "pidfd.h"
#include "reuseport.h"

namespace covet {

namespace {

int errnoOf(const Status& status) { return status.ok() ? 0 : status.error().code; }

long bpf(int command, bpf_attr& attributes) { return syscall(SYS_bpf, command, &attributes, sizeof attributes); }

int tryMap(bpf_map_type type, uint32_t valueBytes, uint32_t flags) {
  bpf_attr attributes{};
  attributes.map_type = type;
  attributes.key_size = 4;
  attributes.value_size = valueBytes;
  attributes.max_entries = 1;
  attributes.map_flags = flags;
  Fd map(static_cast<int>(bpf(BPF_MAP_CREATE, attributes)));
  return map ? 0 : errno;
}

int tryProgram() {
  const bpf_insn program[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, SK_PASS},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SK_REUSEPORT;
  attributes.insns = reinterpret_cast<uint64_t>(program);
  attributes.insn_cnt = std::size(program);
  attributes.license = reinterpret_cast<uint64_t>("");
  Fd loaded(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
  return loaded ? 0 : errno;
}

}  // namespace

int probeReuseportBpf() {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) return errno;
  // Attaching to a socket that is not bound makes the group that it would bring to its port.
  const uint32_t first[] = {0};
  return errnoOf(attachSelector(fd.get(), first));
}

int probeEbpf() {
  if (int refused = tryMap(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 8, 0)) return refused;
  if (int refused = tryMap(BPF_MAP_TYPE_ARRAY, 8, BPF_F_MMAPABLE)) return refused;
  return tryProgram();
}

int probeIoUring() {
  io_uring_params parameters{};
  // The kernel sets CLOEXEC on every ring.
  Fd ring(static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters)));
  return ring ? 0 : errno;
}

int probePidfd() {
  Result<Fd> self = pidfdOpen(getpid());
  if (!self.ok()) return self.error().code;
  return errnoOf(pidfdSignal(self->get(), 0));
}

int probePidfdInfoExit() {
  // A child that ends at once. It shares this memory and we wait for its end (CLONE_VFORK), so nothing is copied; its exit raises no
  // signal (no SIGCHLD in the flags), so neither libuv nor anybody else hears of it, and only __WALL waits for it.
  alignas(16) static thread_local char stack[16'384];
  int pidfd = -1;
  auto child = [](void*) { return 0; };
  int pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, nullptr, &pidfd);
  if (pid < 0) return errno;
  Fd ended(pidfd);
  int waited;
  do waited = waitpid(pid, nullptr, __WALL);
  while (waited < 0 && errno == EINTR);
  return pidfdExitStatus(ended.get()) ? 0 : ENOTTY;
}

int ptraceScope() {
  Fd file(open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC));
  char digit;
  if (!file || read(file.get(), &digit, 1) != 1) return 0;
  return digit - '0';
}

}  // namespace covet
