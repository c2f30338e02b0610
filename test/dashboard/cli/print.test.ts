import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printDescribe } from '../../../dashboard/cli/print/describe.ts';
import { printDoctor } from '../../../dashboard/cli/print/doctor.ts';
import { printEvent } from '../../../dashboard/cli/print/events.ts';
import { jlist } from '../../../dashboard/cli/print/jlist.ts';
import { EMPTY_LIST, listenText, printList } from '../../../dashboard/cli/print/list.ts';
import { LogPrinter } from '../../../dashboard/cli/print/logs.ts';
import { OUTCOMES } from '../../../dashboard/cli/print/outcomes.ts';
import type { Style } from '../../../dashboard/cli/print/style.ts';
import { bytes, duration, percent } from '../../../dashboard/cli/print/units.ts';
import { visible } from '../../../dashboard/cli/print/visible.ts';
import { displayWidth, truncate } from '../../../dashboard/cli/print/width.ts';
import type { CovetEvent } from '../../../supervisor/protocol/events.ts';
import { app, describeView, list, stopView, worker } from '../views.ts';

const pipe: Style = { columns: Infinity, isColoured: false, isTty: false };
const terminal = (columns: number): Style => ({ columns, isColoured: false, isTty: true });

const APPS = list(
  app({ name: 'a-name-that-is-rather-long', listen: ['tcp://[::]:3000', 'tcp://127.0.0.1:9229', 'unix:/run/web/app.sock'] }),
  app({ name: 'job', status: 'stopped', listen: [], workers: [worker({ pid: 0, state: 'cold', restarts: 1 })], wanted: 1 }),
);

test('list cuts nothing in a pipe', () => {
  assert.equal(
    printList(APPS, pipe),
    [
      'name                        status   gen  ready  listen                                          cpu  memory  restarts  uptime',
      'a-name-that-is-rather-long  online     3    2/2  *:3000 127.0.0.1:9229 unix:/run/web/app.sock  24.7%  100 MB         2  3m 20s',
      'job                         stopped    3    0/1  -                                                 -       -         1       -',
      '',
    ].join('\n'),
  );
});

test('list cuts names and addresses to fit 80 columns, and shows workers beneath their app', () => {
  assert.equal(
    printList(APPS, terminal(80), true),
    [
      'name       status   gen  ready/pid  listen        cpu   memory  restarts  uptime',
      'a-name-t…  online     3        2/2  *:3000 12…  24.7%   100 MB         2  3m 20s',
      '├ 0        ready      3       4001              12.3%  50.0 MB         0  3m 20s',
      '└ 1        ready      3       4002              12.3%  50.0 MB         2  3m 20s',
      'job        stopped    3        0/1  -               -        -         1       -',
      '└ 0        cold       3          -                  -        -         1       -',
      '',
    ].join('\n'),
  );
});

test('on 40 columns the less important columns leave, which is said, and a worker keeps its pid', () => {
  assert.equal(
    printList(APPS, terminal(40)),
    [
      'name       status   ready    cpu  memory',
      'a-name-t…  online     2/2  24.7%  100 MB',
      'job        stopped    0/1      -       -',
      '(no room: gen, listen, restarts, uptime)',
      '',
    ].join('\n'),
  );
  assert.equal(
    printList(APPS, terminal(40), true),
    [
      'name           status   ready/pid    cpu',
      'a-name-that-…  online         2/2  24.7%',
      '├ 0            ready         4001  12.3%',
      '└ 1            ready         4002  12.3%',
      'job            stopped        0/1      -',
      '└ 0            cold             -      -',
      '(no room: gen, listen, memory, restarts…',
      '',
    ].join('\n'),
  );
});

test('an empty list is its titles', () => {
  assert.equal(printList(EMPTY_LIST, pipe), 'name  status  gen  ready  listen  cpu  memory  restarts  uptime\n');
});

test('during a reload only workers of the app’s generation count as ready', () => {
  const workers = [worker(), worker({ slot: 1, state: 'backoff', pid: 0 }), worker({ generation: 4 })];
  assert.match(printList(list(app({ status: 'reloading', workers })), pipe), /web +reloading +3 +1\/2/);
});

test('colours are there when asked for, and undone one by one', () => {
  const text = printList(list(app({ status: 'failed' })), { ...pipe, isColoured: true });
  assert.match(text, /\u001b\[31mfailed\u001b\[39m/);
  assert.doesNotMatch(text, /\u001b\[0m/);
});

test('describe has every section', () => {
  assert.equal(
    printDescribe(describeView(), terminal(80)),
    `web  online  generation 3
  mode       cluster, reload by overlap
  stop       at most 35s
  pinned     no: 2 CPUs are allowed, at least 4 are needed
  last exit  none
  log        /var/log/covet-pm/web.out.log
  errors     /var/log/covet-pm/web.err.log

slot  state   pid  gen  cpus    cpu   memory  restarts  uptime
   0  ready  4001    3  0-1   12.3%  50.0 MB         0  3m 20s
   1  ready  4002    3  0-1   12.3%  50.0 MB         2  3m 20s

listener  condition  dispatch  half  slots  queued  backlog
*:3000    open       bpf       A     0-1         3      511

config
  script     /srv/app.js
  instances  2

env
  names  PATH HOME

last events
  2026-01-01T00:00:00.000Z reload.finished web generation 3 in 1.2s

last log lines
  listening
  evil ␛[2J
`,
  );
});

test('describe shows values of the environment where it got them, and leaves out what is empty', () => {
  const text = printDescribe(describeView({ env: { PATH: '/bin' }, listeners: [], events: [] }), pipe);
  assert.match(text, /env\n {2}PATH {2}\/bin\n/);
  assert.doesNotMatch(text, /listener|last events/);
});

test('what an app says cannot steer a terminal, and is untouched in a pipe', () => {
  const evil = '\u001b]0;owned\u0007 \u001b[2J\u009b31m \u202egpj\r';
  assert.equal(visible(terminal(80), evil), '␛]0;owned␇ ␛[2J<U+009B>31m <U+202E>gpj');
  assert.equal(visible(terminal(80), 'a\tb'), 'a\tb');
  assert.equal(visible(pipe, evil), evil);
});

test('wide characters count two, combining marks none, and none is cut in half', () => {
  assert.equal(displayWidth('abc'), 3);
  assert.equal(displayWidth('日本'), 4);
  assert.equal(displayWidth('e\u0301'), 1);
  assert.equal(displayWidth('🚀'), 2);
  assert.equal(truncate('日本語アプリ', 6), '日本…');
  assert.equal(truncate('日本語アプリ', 7), '日本語…');
  assert.equal(truncate('abc', 3), 'abc');
  assert.equal(truncate('abc', 0), '');
});

test('units are short', () => {
  assert.deepEqual([0, 999, 1_000, 52_428_800, 104_857_600, 5_368_709_120].map(bytes), [
    '0 B',
    '999 B',
    '1.0 KB',
    '50.0 MB',
    '100 MB',
    '5.0 GB',
  ]);
  assert.deepEqual([0, 840, 3_420, 12_000, 60_000, 200_000, 3_600_000, 18_720_000, 90_000_000].map(duration), [
    '0 ms',
    '840 ms',
    '3.4s',
    '12s',
    '1m',
    '3m 20s',
    '1h',
    '5h 12m',
    '1d 1h',
  ]);
  assert.deepEqual([0, 12.34, 99.94, 99.95, 200].map(percent), ['0.0%', '12.3%', '99.9%', '100%', '200%']);
});

test('an address of both families is written as ss(8) does', () => {
  assert.deepEqual(['tcp://[::]:3000', 'tcp://0.0.0.0:80', 'tcp://[::1]:80', 'unix:/x'].map(listenText), [
    '*:3000',
    '0.0.0.0:80',
    '[::1]:80',
    'unix:/x',
  ]);
});

test('outcomes count connections by kind', () => {
  assert.equal(OUTCOMES.stop(stopView()), 'web is stopped. Connections: 12 handed over, 3 drained (2 HTTP/1, 1 SSE), 0 cut.\n');
  assert.match(OUTCOMES.stop(stopView({ killed: 2 })), /2 workers had to be killed/);
  const reload = { ...stopView(), mode: 'overlap', generation: 4, durationMs: 1_500 } as const;
  assert.match(OUTCOMES.reload(reload), /^web was reloaded to generation 4 in 1\.5s \(overlap\)\./);
});

test('outcomes say nothing of what there was not', () => {
  const none = { http1: 0, http1Idle: 0, http2: 0, websocket: 0, sse: 0, raw: 0 };
  const drain = { handedOver: 0, drained: none, idleClosed: 0, cut: none };
  const stopped = app({ status: 'stopped', workers: [], listen: [] });
  assert.equal(OUTCOMES.stop(stopView({ app: stopped, drain })), 'web is stopped.\n');
  assert.equal(OUTCOMES.delete(stopView({ app: stopped, drain, killed: 1 })), 'web was deleted. 1 worker had to be killed.\n');
  assert.match(OUTCOMES.stop(stopView({ drain })), /Connections: 0 handed over, 0 drained, 0 cut\.$/m);
  const cut = { ...drain, cut: { ...none, http1Idle: 3 } };
  assert.match(OUTCOMES.stop(stopView({ drain: cut })), /0 drained, 3 cut \(3 idle HTTP\/1\)\.$/m);
  assert.equal(OUTCOMES.scale({ apiVersion: 1, app: stopped }), 'web is stopped; when it is started it has 2 workers.\n');
  assert.equal(OUTCOMES.scale({ apiVersion: 1, app: app() }), 'web has 2 workers.\n');
  assert.equal(OUTCOMES.kill({ apiVersion: 1, apps: 0 }), 'The supervisor ended; no app ran.\n');
  assert.match(OUTCOMES.kill({ apiVersion: 1, apps: 1 }), /after 1 app\. `covet-pm resurrect` runs it again\.$/m);
});

test('one app’s log lines stand alone, those of several behind their name', () => {
  assert.equal(new LogPrinter(pipe, false).print({ app: 'web', stream: 'out', line: 'hi' }), 'hi\n');
  const printer = new LogPrinter(terminal(80), true);
  assert.equal(printer.print({ app: 'queue', stream: 'err', line: '\u001b[31mred' }), 'queue | ␛[31mred\n');
  assert.equal(printer.print({ app: 'web', stream: 'out', line: 'x' }), 'web   | x\n');
});

test('every event has its sentence, an unknown one its fields', () => {
  const at = { seq: 1, at: 'T' };
  assert.equal(
    printEvent(
      {
        ...at,
        type: 'worker.exited',
        app: 'web',
        slot: 1,
        generation: 2,
        pid: 9,
        code: null,
        signal: 'SIGKILL',
        oom: true,
        uptimeMs: 12_000,
        expected: false,
      },
      pipe,
    ),
    'T worker.exited web slot 1 pid 9 SIGKILL (oom) after 12s, unexpected',
  );
  assert.equal(
    printEvent({ ...at, type: 'app.invented', app: 'web', left: 3 } as unknown as CovetEvent, pipe),
    'T app.invented web {"left":3}',
  );
});

test('doctor puts advice beneath what is not well', () => {
  const findings = [
    { level: 'ok', what: 'BPF', found: 'allowed', advice: '' },
    { level: 'warning', what: 'files', found: '1024', advice: 'Raise it.' },
  ] as const;
  assert.equal(printDoctor({ apiVersion: 1, findings }, pipe), '✔ BPF    allowed\n! files  1024\n         Raise it.\n');
});

test('jlist has the shape PM2’s scripts read', () => {
  const [first, second] = jlist(list(app()), 1_000_000) as { name: string; pm_id: number; pm2_env: Record<string, unknown> }[];
  assert.deepEqual(first, {
    pid: 4_001,
    name: 'web',
    pm_id: 0,
    monit: { memory: 52_428_800, cpu: 12.34 },
    pm2_env: { name: 'web', pm_id: 0, instances: 2, NODE_APP_INSTANCE: 0, status: 'online', restart_time: 0, pm_uptime: 800_000 },
  });
  assert.equal(second?.pm2_env['restart_time'], 2);
});
