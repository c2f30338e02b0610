/** doctor: what the host allows, what each app got and why, and what to change. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { packageRoot } from '../../native/index.ts';
import type { App } from '../apps/app.ts';
import { hostFindings, note, ok, warning } from '../host/findings.ts';
import { serviceFindings } from '../host/service-findings.ts';
import type { Listener } from '../listeners/listener.ts';
import type { LogAction } from '../protocol/events.ts';
import type { DoctorFinding } from '../protocol/operations.ts';
import type { SupervisorCore } from '../supervisor.ts';
import type { Handler } from './handlers.ts';

export const doctor: Handler<'doctor'> = async ({ core }) => ({
  apiVersion: 1,
  findings: [
    ...hostFindings(core.env.native, core.env.paths.home),
    ok('covet-init', `pid ${core.init.pid}`),
    ...(core.init.isService ? await serviceFindings() : []),
    cgroups(core),
    ...stateProblem(core),
    ownCopy(core),
    ...safeMode(core),
    ...apps(core),
  ],
});

function stateProblem({ stateProblem: problem }: SupervisorCore): DoctorFinding[] {
  if (problem === null) return [];
  return [warning('wanted.json', problem, 'Apps may be missing: mend the file that was kept, or `covet-pm start` them again.')];
}

function cgroups({ cgroups: { plan, controllers, limitless } }: SupervisorCore): DoctorFinding {
  if (plan.kind === 'none')
    return note(
      'cgroups',
      `none: ${plan.why}`,
      `No limits, and out of memory looks like any SIGKILL; what workers leave is found by scanning. ${plan.advice}`,
    );
  const found = `v2 at ${plan.root}, with cgroup.kill and ${controllers.join(', ') || 'no controllers'}`;
  return limitless === ''
    ? ok('cgroups', found)
    : note('cgroups', found, `Not every limit can be had, and out of memory is told only with the memory controller: ${limitless}.`);
}

function limits(core: SupervisorCore, { name, config }: App): DoctorFinding[] {
  const missing = core.cgroups.missing(config);
  if (missing === null) return [];
  return [warning(`${name}: limits`, `\`${missing.field}\` is not in force`, `${missing.why}. The other limits may not be either.`)];
}

function ownCopy({ env }: SupervisorCore): DoctorFinding {
  const folder = packageRoot();
  const { versions } = env.paths;
  if (existsSync(versions) && dirname(folder) === realpathSync(versions)) return ok('runs from', folder);
  const advice =
    'Not from a copy of its own, because the home is mounted noexec, or it runs in the foreground: replacing the package may break it, and `upgrade` cannot.';
  return note('runs from', folder, advice);
}

function safeMode({ apps: all, safeMode: safe, init }: SupervisorCore): DoctorFinding[] {
  const setAside = [...all.values()].flatMap(({ name }) => {
    const verb = safe.setAside(name);
    if (verb === null) return [];
    const advice = `It is left as it is. \`covet-pm ${verb === 'startStopped' ? 'start' : verb} ${name}\` tries it again; \`covet-pm stop ${name}\` ends it.`;
    return [warning(`${name}: set aside`, `\`${verb}\` was under way when a supervisor died`, advice)];
  });
  const on = warning(
    'safe mode',
    `${init.deaths} supervisors died within a minute`,
    '`covet-pm resurrect` leaves it. supervisor.log says more.',
  );
  return safe.isOn ? [on, ...setAside] : setAside;
}

function apps(core: SupervisorCore): DoctorFinding[] {
  return [...core.apps.values()].flatMap((app) => [
    ok(`${app.name}: mode`, `${app.mode}, reload by ${app.reloadMode}`),
    app.mode === 'self-bound'
      ? note(
          `${app.name}: listeners`,
          'it binds by itself',
          'Its reload is a restart, one worker at a time. Name the address in `listen`, or take it from LISTEN_FDS.',
        )
      : ok(
          `${app.name}: listeners`,
          core.registry
            .of(app.name)
            .map((listener) => `${listener.key} by ${listener.dispatch}${because(core, app, listener)}, ${listener.condition}`)
            .join('; ') || 'none',
        ),
    ...limits(core, app),
    ...logs(core, app),
    app.pins.on ? ok(`${app.name}: pinning`, app.pins.why) : note(`${app.name}: pinning`, `off: ${app.pins.why}`, ''),
  ]);
}

const LOG_TROUBLES: Readonly<Record<LogAction, { readonly found: string; readonly advice: string }>> = {
  write: {
    found: 'cannot be written',
    advice:
      'Its workers wait for `logs.stallMs`, then lines are dropped (`log.dropped` in `events`). Make room on its disk, or mend the file.',
  },
  rotate: {
    found: 'cannot be rotated',
    advice:
      'It grows past `logs.bytesMax`. Make room on its disk, let this user write its folder, and move away a folder that is named like the log with `.1` or `.new`.',
  },
  open: {
    found: 'cannot be opened by its name',
    advice: 'Lines still go to the file that was open before. Mend its folder; it is tried again each second in which lines come.',
  },
  watch: {
    found: 'has a worker whose output the kernel does not watch',
    advice:
      'It is read ten times a second, and a worker that writes much waits. Raise fs.epoll.max_user_watches; it is tried again each time.',
  },
};

function logs({ logs: store }: SupervisorCore, { name }: App): DoctorFinding[] {
  return store.troublesOf(name).map(({ stream, action, code }) => {
    const { found, advice } = LOG_TROUBLES[action];
    return warning(`${name}: logs`, `${store.files(name)[stream]} ${found} (${code})`, advice);
  });
}

/** Why a listener is not as on other hosts. */
function because({ env }: SupervisorCore, { config }: App, listener: Listener): string {
  if (listener.dispatch === 'shared' && listener.address.kind !== 'unix')
    return " (a socket of the service manager's: one queue for all workers, and clients wait where others would be refused)";
  if (listener.dispatch !== 'hash' || listener.address.kind === 'udp') return '';
  if (config.reuseportBpf === 'off') return ' (reuseportBpf: off)';
  if (env.native.probe().reuseportBpf !== 'ok') return ' (the kernel refuses the program)';
  return ' (its sockets were taken back from the workers, one a slot; by bpf again once the app was stopped and started)';
}
