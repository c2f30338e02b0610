/**
 * What the host allows, each thing tried and not guessed, and what to change. Knows of no supervisor: `doctor` asks it in the supervisor's
 * process, and in its own where none runs.
 */
import type { Native } from '../../native/index.ts';
import type { DoctorFinding } from '../protocol/operations.ts';
import { readIfThere } from '../protocol/proc-files.ts';
import { readCpuGrant } from './cpu-grant.ts';
import { maxInstances } from './pin-policy.ts';

const NOFILE_ADVISED = 65_536;
const SOMAXCONN_ADVISED = 4_096;

/** As this very process may; `home` is where the supervisor's files lie, or would, and why they could not. */
export function hostFindings(native: Native, home: string, homeProblem: string | null = null): DoctorFinding[] {
  const place = homeProblem === null ? ok('home', home) : warning('home', home, `${homeProblem}: no supervisor can be started there.`);
  return [...kernel(native), ...limits(), ...runtime(native), place, ...user()];
}

export const ok = (what: string, found: string): DoctorFinding => ({ level: 'ok', what, found, advice: '' });
export const note = (what: string, found: string, advice: string): DoctorFinding => ({ level: 'note', what, found, advice });
export const warning = (what: string, found: string, advice: string): DoctorFinding => ({ level: 'warning', what, found, advice });

function kernel(native: Native): DoctorFinding[] {
  const probe = native.probe();
  const allowed = (what: string, result: string, advice: string, bad: typeof note): DoctorFinding =>
    result === 'ok' ? ok(what, 'allowed') : bad(what, `refused (${result})`, advice);
  return [
    allowed(
      'reuseport program (classic BPF)',
      probe.reuseportBpf,
      'Without it a reload shares sockets between old and new workers. Allow setsockopt SO_ATTACH_REUSEPORT_CBPF.',
      warning,
    ),
    allowed('eBPF', probe.ebpf, 'Nothing needs it yet.', note),
    allowed('io_uring', probe.ioUring, 'Nothing needs it yet.', note),
    allowed('pidfd', probe.pidfd, 'Linux 5.3 or later is needed.', warning),
    allowed(
      'exit status of adopted workers (PIDFD_INFO_EXIT)',
      probe.pidfdInfoExit,
      'Before Linux 6.15 the exit status of a worker that ends while no supervisor runs may be unknown.',
      note,
    ),
    probe.ptraceScope === 0 || process.getuid?.() === 0
      ? ok('ptrace scope', String(probe.ptraceScope))
      : note(
          'ptrace scope',
          String(probe.ptraceScope),
          'Taking workers back after covet-init and its supervisor died at once needs kernel.yama.ptrace_scope 0, or root.',
        ),
    ...sysctl('net.core.somaxconn', '/proc/sys/net/core/somaxconn', SOMAXCONN_ADVISED, "A listener's backlog is capped by it; raise it to"),
  ];
}

function sysctl(name: string, path: string, advised: number, advice: string): DoctorFinding[] {
  const value = Number(readIfThere(path) ?? Number.NaN);
  if (Number.isNaN(value)) return [];
  return [value >= advised ? ok(name, String(value)) : note(name, String(value), `${advice} ${advised}.`)];
}

function limits(): DoctorFinding[] {
  const row = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readIfThere('/proc/self/limits') ?? '');
  const hard = row?.[2] === 'unlimited' ? Infinity : Number(row?.[2] ?? 0);
  const found = `soft ${row?.[1] ?? '?'}, hard ${row?.[2] ?? '?'}`;
  return [
    hard >= NOFILE_ADVISED
      ? ok('open files', found)
      : warning(
          'open files',
          found,
          `Workers may run out of descriptors; raise the hard limit to ${NOFILE_ADVISED} (LimitNOFILE= in a unit).`,
        ),
  ];
}

function runtime(native: Native): DoctorFinding[] {
  const grant = readCpuGrant(native);
  const cpus = `${grant.allowed.length} allowed (${grant.allowed.join(',')})${grant.quota === null ? '' : `, quota ${grant.quota}`}: -i max is ${maxInstances(grant)}`;
  const [major = 0] = process.versions.node.split('.').map(Number);
  return [
    ok('CPUs', cpus),
    major >= 22
      ? ok('Node', process.versions.node)
      : note('Node', process.versions.node, 'Node 20 is past its end of life; 22 and later also cache compiled code and run TypeScript.'),
  ];
}

function user(): DoctorFinding[] {
  const uid = process.getuid!();
  return [uid === 0 ? note('user', 'root', 'Workers run as root unless their config names a `uid`.') : ok('user', `uid ${uid}`)];
}
