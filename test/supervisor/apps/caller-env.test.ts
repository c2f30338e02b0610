/** The environment of an app: the caller's less its session, then the config's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appEnv } from '../../../supervisor/apps/caller-env.ts';

test('what belongs to the caller’s session stays with the caller; the config wins', () => {
  const caller = {
    PATH: '/bin',
    DATABASE_URL: 'x',
    PORT: '1',
    SSH_AUTH_SOCK: 's',
    XDG_RUNTIME_DIR: 'r',
    SUDO_USER: 'u',
    npm_config_x: 'n',
    COVET_HOME: 'h',
    COVET_SLOT: '1',
    LISTEN_FDS: '1',
    NOTIFY_SOCKET: 'n',
    WATCHDOG_USEC: '1',
    TERM: 'xterm',
    TERM_PROGRAM: 'p',
    INVOCATION_ID: 'i',
    NODE_CHANNEL_FD: '3',
  };
  assert.deepEqual(appEnv(caller, { PORT: '2', COVET_MINE: 'kept' }), { PATH: '/bin', DATABASE_URL: 'x', PORT: '2', COVET_MINE: 'kept' });
});
