/**
 * The unit file by which systemd runs covet-pm. Pure: from facts about the host to the text. systemd.service(5), systemd.exec(5).
 *
 * KillMode=process with a sweep after an ordinary stop, instead of the whole control group: when covet-init dies, its workers serve on, and the next
 * covet-init takes them over with what systemd kept of it (FileDescriptorStoreMax).
 */
import { join } from 'node:path';
import type { Paths } from '../../supervisor/protocol/paths.ts';

export type Scope = 'system' | 'user';

export interface UnitFacts {
  readonly scope: Scope;
  readonly paths: Paths;
  /** The home is named by COVET_HOME; else it is the scope's own. */
  readonly hasOwnHome: boolean;
  /** systemd's version; 0 where it does not tell. */
  readonly systemd: number;
  /** What has dist/ and prebuilds/: the link to the copy that runs. */
  readonly folder: string;
  readonly node: string;
  /** linux-x64's part after the dash. */
  readonly arch: string;
  /** What of the caller's environment the supervisor gets. */
  readonly env: Readonly<Record<string, string>>;
  /** The longest that an app known now may take to stop. */
  readonly stopTimeoutMs: number;
  readonly hardened: boolean;
  /** With `hardened`: folders outside the home that apps write. */
  readonly writable: readonly string[];
  /** With `hardened`: an app listens below port 1024. */
  readonly needsPrivilegedPorts: boolean;
}

/** Sockets, channels, pipes and pidfds: eight of a worker, two of a slot's address. systemd's own limit is far above. */
export const FD_STORE_MAX = 65_536;
const WATCHDOG_S = 30;
/** An older one would warn of the word at each load. */
const SUBGROUP_SINCE = 254;
/** Of covet-init and its supervisor, beside those of the apps (supervisor/host/cgroup-policy.ts). */
const OWN_GROUP = 'covet';
/** Around the drain: the supervisor's own end. covet-init asks for more when apps need it (EXTEND_TIMEOUT_USEC). */
const STOP_MARGIN_MS = 10_000;
/** systemd-sysusers' and useradd's limit is 31; a dynamic user has this name while it exists. */
const OWN_USER = 'covet-pm';
/** As covet-init answers when another one has the lock: to start it again and again helps nobody. */
const EXIT_LOCKED = 69;

export function unitText(facts: UnitFacts): string {
  const { scope, paths, folder, arch } = facts;
  const init = join(folder, 'prebuilds', `linux-${arch}`, 'covet-init');
  const supervisor = join(folder, 'dist', 'supervisor.mjs');
  const start = [init, '--service', '--lock', paths.lock, '--log', paths.supervisorLog, '--', facts.node, supervisor];
  const reload = [facts.node, join(folder, 'dist', 'covet-pm.cjs'), 'reload', 'all'];
  const lines = [
    '# Written by `covet-pm startup`; `covet-pm unstartup` removes it. Changes of your own belong into a drop-in: systemctl edit.',
    '[Unit]',
    `Description=covet-pm, process manager (${paths.home})`,
    'Documentation=https://www.npmjs.com/package/covet-pm',
    ...(scope === 'system' ? ['Wants=network-online.target', 'After=network-online.target'] : []),
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=notify',
    'NotifyAccess=main',
    `ExecStart=${start.map(quoted).join(' ')}`,
    '# Exits with 1 when an app was not reloaded, which a signal could not tell.',
    `ExecReload=${reload.map(quoted).join(' ')}`,
    `ExecStopPost=${[init, '--sweep'].map(quoted).join(' ')}`,
    'KillMode=process',
    'TimeoutStartSec=infinity',
    `TimeoutStopSec=${Math.ceil((facts.stopTimeoutMs + STOP_MARGIN_MS) / 1_000)}`,
    '# Not after a clean end: `covet-pm kill` means it.',
    'Restart=on-failure',
    'RestartSec=100ms',
    `RestartPreventExitStatus=${EXIT_LOCKED}`,
    `WatchdogSec=${WATCHDOG_S}`,
    `FileDescriptorStoreMax=${FD_STORE_MAX}`,
    'Delegate=yes',
    ...(facts.systemd >= SUBGROUP_SINCE ? [`DelegateSubgroup=${OWN_GROUP}`] : []),
    'OOMPolicy=continue',
    'TasksMax=infinity',
    ...folders(facts),
    ...Object.entries(facts.env).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    ...(facts.hardened ? hardening(facts) : []),
    '',
    '[Install]',
    `WantedBy=${scope === 'system' ? 'multi-user.target' : 'default.target'}`,
    '',
  ];
  return lines.join('\n');
}

/** A home of its own is there already; the scope's own is made, and given back the rights it should have, by systemd. */
function folders({ scope, hasOwnHome }: UnitFacts): string[] {
  if (hasOwnHome) return [];
  const runtime = ['RuntimeDirectory=covet-pm', 'RuntimeDirectoryMode=0700', 'RuntimeDirectoryPreserve=restart'];
  if (scope === 'user') return runtime;
  return [...runtime, 'StateDirectory=covet-pm', 'StateDirectoryMode=0711', 'LogsDirectory=covet-pm', 'LogsDirectoryMode=0700'];
}

/** Everything that apps as a rule do without. What V8 needs stays: memory that is written and run, and user namespaces for nobody. */
function hardening({ writable, needsPrivilegedPorts }: UnitFacts): string[] {
  const capabilities = needsPrivilegedPorts ? 'CAP_NET_BIND_SERVICE' : '';
  return [
    `User=${OWN_USER}`,
    'DynamicUser=yes',
    `CapabilityBoundingSet=${capabilities}`,
    `AmbientCapabilities=${capabilities}`,
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    'ProtectHome=read-only',
    ...writable.map((path) => `ReadWritePaths=${quoted(path)}`),
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'ProtectClock=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'ProtectControlGroups=yes',
    'ProtectProc=invisible',
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'LockPersonality=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallErrorNumber=EPERM',
    'RemoveIPC=yes',
    'UMask=0077',
  ];
}

/** A word of a command line or an assignment: systemd.syntax(7) has quotes, backslashes, specifiers (%) and variables ($). */
export function quoted(word: string): string {
  const escaped = word.replace(/[\\"]/g, '\\$&').replace(/%/g, '%%').replace(/\$/g, '$$$$').replace(/\n/g, '\\n').replace(/\t/g, '\\t');
  return /^[\w@%+=:,./-]+$/.test(word) && !word.includes('%') ? word : `"${escaped}"`;
}
