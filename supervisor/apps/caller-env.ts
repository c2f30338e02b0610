/**
 * The environment of an app: the caller's at start, less what belongs to the caller's session, then the config's. Pure.
 *
 * What a shell, a login, sudo, npm or systemd put there for their own children is not the app's: it would change with whoever typed
 * the command, or make a worker talk to the service manager in the supervisor's name (PITFALLS 40).
 */

const DENIED =
  /^(SSH_|XDG_|SUDO_|npm_|COVET_|LISTEN_|TERM|NOTIFY_SOCKET$|WATCHDOG_|INVOCATION_ID$|JOURNAL_STREAM$|SYSTEMD_|MAINPID$|MANAGERPID$|NODE_CHANNEL_|NODE_UNIQUE_ID$|OLDPWD$|SHLVL$|_$|WINDOWID$|TMUX|STY$|COLUMNS$|LINES$)/;

export function appEnv(caller: Readonly<Record<string, string>>, config: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(caller).filter(([key]) => !DENIED.test(key));
  return { ...Object.fromEntries(kept), ...config };
}
