/**
 * The wire between covet-init and the supervisor: one SEQPACKET pair, inherited as fd 3.
 *
 * A packet is one line of text, `verb id key=value key=value…`, plus descriptors by SCM_RIGHTS. Values are
 * percent-encoded, so that a packet reads well in strace and splits on spaces. `id` joins a reply to its request;
 * 0 marks what covet-init says unasked. Unknown keys are ignored and unknown verbs answered with `error`, so that
 * either side may be one version ahead. native/init/wire.h is the same codec in C++; test/golden/ holds its bytes.
 */

export const INIT_WIRE_VERSION = { min: 1, max: 1 } as const;
/** One packet, text only; a SEQPACKET socket's default buffer takes it whole. */
const INIT_PACKET_BYTES_MAX = 65_536;

/**
 * Requests, supervisor → covet-init, with the reply and its descriptors in order.
 *
 * | request | keys | reply | descriptors of the reply |
 * |---|---|---|---|
 * | hello  | min max | `hello version pid resumed=0\|1 deaths service=0\|1 watchdog lock log` (1: a supervisor before this one was ready; deaths: of supervisors within the last minute; service: a service manager runs covet-init, and waits `watchdog` ms for each `alive`, 0: it does not; lock and log: its own options), then one `note`, `group`, `member`, `worker`, `failed`, `exited` each for what is held, then `end` | see below |
 * | listen | group family=tcp4\|tcp6\|udp4\|udp6\|unix\|unixgram host port dual=0\|1 backlog slot half halves=1\|2 note; udp: halves=1 reuse=0\|1 (SO_REUSEADDR), backlog unused; unix, unixgram: path uid gid | `listening port halves a b guard shared=0\|1` (indices in the reuseport group; a is the asking half's; shared: a service manager opened it, and it is one for all slots) | [a, b, guard], [a], or the unix socket |
 * | append | group slot half | `appended a b` | [a, b] or [a] |
 * | moved  | group index | `ok` | that member left the group and came back as its last; the last took its place |
 * | drop   | group slot: of a udp group, whose members have no order that counts | `ok`, also when there is none | |
 * | close  | group | `ok` | |
 * | worker | key out err (files for its lines while there is no supervisor) | `worker` | [channel ours, channel theirs, handoff ours, handoff theirs, out r, out w, err r, err w, report w] |
 * | note   | key text | `ok` | kept and told at each hello; an empty text lets go of it |
 * | forget | key | `ok` | the record of a worker that exited, or never ran, and its descriptors are let go |
 * | program | arg0 arg1 … | `ok` | the supervisor is about to end for its successor, which is this program; until that is `ready`, the one before it is started again if it fails |
 * | check  | path | `ok` | whether that covet-init could take this one's place: ENOEXEC when not, EAGAIN when packets are under way |
 * | replace | path | `ok`, by whoever is covet-init then | another covet-init takes this one's place in the same process, with all it holds; ENOEXEC: it cannot, EAGAIN: packets are under way |
 * | ready  | | `ok` | tells whoever started covet-init that the supervisor serves |
 * | alive  | | – | the control plane works: the service manager's watchdog is fed |
 * | status | text | – | one line for the service manager |
 * | stopping | ms | – | the end begins, and may last so long; told to the service manager |
 * | quit   | code | – | every worker left is killed, then covet-init exits with the code |
 *
 * Unasked, covet-init → supervisor:
 * | verb | keys | descriptors |
 * |---|---|---|
 * | running | key pid start (clock ticks after boot, /proc/PID/stat field 22) | [pidfd] |
 * | failed  | key stage errno: covet-exec could not start it | |
 * | exited  | key pid status (the raw wait status); told again at each hello until `forget` | |
 * | signal  | name: SIGTERM, SIGINT or SIGHUP was sent to covet-init | |
 *
 * At hello: `note key text` · `group key family host port dual backlog halves note`, with `reuse` for udp and `path` for unix and unixgram ·
 * `member group slot half=0|1|-1 index` with [fd] (half −1 is the guard) · `worker key pid start` with [channel, handoff, out r, err r] and
 * [pidfd] last when pid is not 0.
 *
 * A failure is `error errno code syscall` with the request's id.
 */
export interface InitPacket {
  readonly verb: string;
  readonly id: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** Writes a packet's text. Throws RangeError when it is longer than INIT_PACKET_BYTES_MAX. */
export function encodeInitPacket(packet: InitPacket): string {
  let text = `${packet.verb} ${packet.id}`;
  for (const [key, value] of Object.entries(packet.fields)) text += ` ${key}=${encodeURIComponent(value)}`;
  if (Buffer.byteLength(text) > INIT_PACKET_BYTES_MAX) {
    throw new RangeError(`Expected a packet of at most ${INIT_PACKET_BYTES_MAX} bytes, got ${Buffer.byteLength(text)}`);
  }
  return text;
}

/** Reads a packet's text. Throws SyntaxError on anything else. */
export function decodeInitPacket(text: string): InitPacket {
  const [verb = '', id = '', ...pairs] = text.split(' ');
  if (!/^[a-z]+$/.test(verb) || !/^\d+$/.test(id))
    throw new SyntaxError(`Expected "verb id key=value…", got ${JSON.stringify(text.slice(0, 80))}`);
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw new SyntaxError(`Expected key=value, got ${JSON.stringify(pair.slice(0, 80))}`);
    fields[pair.slice(0, at)] = decodeURIComponent(pair.slice(at + 1));
  }
  return { verb, id: Number(id), fields };
}
