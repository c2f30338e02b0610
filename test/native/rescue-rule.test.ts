/** The rule of rescue, by table: what is said to it and seen at its looks on the left, what it decides on the right. No clock, no sockets. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { testProgram } from './test-programs.ts';

type Table = readonly (readonly [said: string, decided: string])[];

/** Queues 1… of one listener, each served by the taker ten times its number. */
function workers(count: number): Table {
  const each = Array.from({ length: count }, (_, i) => i + 1);
  return [
    ['rule 10', ''],
    ...each.map((queue) => [`add ${queue} 0`, ''] as const),
    ...each.map((queue) => [`taker ${queue}0`, ''] as const),
    ['serve 1 10', ''],
    // From the second on each could take from the others.
    ...each.slice(1).map((queue) => [`serve ${queue} ${queue}0`, queue === 2 ? 'watch 1 watch 2' : `watch ${queue}`] as const),
  ];
}

const promises: Readonly<Record<string, Table>> = {
  'taken from when it waited for rescueAfterMs, seen at two looks, while another queue is empty': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['next', '@105'],
    ['round @105 1=3 free 10 20', 'look 1'],
    ['next', '@110'],
    ['round @110 1=3 free 10 20', 'look 1 take 1>20x3'],
  ],
  'progress by its worker begins the wait anew': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['round @105 1=3 free 20', 'look 1'],
    ['round @110 1=2 free 20', 'look 1'],
    ['round @115 1=4 free 20', 'look 1'],
    ['round @120 1=4 free 20', 'look 1 take 1>20x4'],
  ],
  'what we took is no progress: known to be stuck, it waits half as long': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['round @105 1=9 free 20', 'look 1'],
    ['round @110 1=9 free 20', 'look 1 take 1>20x8'],
    ['taken 1 8 8', ''],
    ['round @115 1=1 free 20', 'look 1 take 1>20x1'],
    ['taken 1 1 1', ''],
    ['round @120 1=2 free 20', 'look 1'],
    ['round @125 1=2 free 20', 'look 1 take 1>20x2'],
  ],
  'fewer than were asked for are progress: somebody else took the rest': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['round @105 1=4 free 20', 'look 1'],
    ['round @110 1=4 free 20', 'look 1 take 1>20x4'],
    ['taken 1 4 3', ''],
    ['round @115 1=2 free 20', 'look 1'],
    ['round @120 1=2 free 20', 'look 1'],
    ['round @125 1=2 free 20', 'look 1 take 1>20x2'],
  ],
  'under overload nothing moves, and it is counted': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['ready 2 @100', ''],
    ['round @105 1=5 2=5 free 10 20', 'look 1 look 2'],
    ['round @110 1=6 2=6 free 10 20', 'look 1 look 2 stuck'],
    ['round @115 1=9 2=9 free 10 20', 'look 1 look 2 stuck'],
  ],
  'a busy worker takes after three looks at which its queue was empty': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['ready 2 @100', ''],
    ['round @105 1=1 2=1 free 10 20', 'look 1 look 2'],
    ['round @110 1=1 2=0 free 10 20', 'look 1 look 2 stuck'],
    ['round @115 1=1 2=0 free 10 20', 'look 1 look 2 take 1>20x1 watch 2'],
  ],
  'a busy worker whose watch fires again and again takes at its third empty look': [
    ...workers(2),
    ['ready 2 @100', ''],
    ['ready 1 @101', ''],
    ['round @105 1=1 2=1 free 20', 'look 1 look 2'],
    ['round @110 1=1 2=0 free 20', 'look 1 look 2'],
    ['round @115 1=1 2=0 free 20', 'look 1 look 2 take 1>20x1 watch 2'],
    ['ready 2 @116', ''],
    ['round @120 1=1 2=0 free 20', 'look 1 look 2 take 1>20x1'],
    ['round @125 1=1 2=1 free 20', 'look 1 look 2 stuck'],
  ],
  'of a worker that is known to be stuck connections go to whoever was seen empty once, from its first look on': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['round @105 1=1 free 20', 'look 1'],
    ['round @110 1=1 free 20', 'look 1 take 1>20x1'],
    ['taken 1 1 1', ''],
    ['round @115 1=0', 'look 1'],
    ['round @120 1=0', 'look 1 watch 1'],
    ['ready 2 @148', ''],
    ['ready 1 @149', ''],
    ['round @153 1=1 2=1 free 20', 'look 1 look 2'],
    ['round @158 1=1 2=0 free 20', 'look 1 look 2 take 1>20x1'],
  ],
  'a taker gets no more while it has not answered': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['round @105 1=1 free', 'look 1'],
    ['round @110 1=1 free', 'look 1'],
    ['round @115 1=1 free 20', 'look 1 take 1>20x1'],
  ],
  'several takers share evenly, who got something longest ago first': [
    ...workers(4),
    ['ready 1 @100', ''],
    ['round @105 1=5 free 20 30 40', 'look 1'],
    ['round @110 1=5 free 20 30 40', 'look 1 take 1>20x2 take 1>30x2 take 1>40x1'],
    ['taken 1 2 2', ''],
    ['taken 1 2 2', ''],
    ['taken 1 1 1', ''],
    ['round @115 1=1 free 20 30 40', 'look 1'],
    ['round @120 1=1 free 20 30 40', 'look 1 take 1>20x1'],
    ['taken 1 1 1', ''],
    ['round @125 1=1 free 20 30 40', 'look 1'],
    ['round @130 1=1 free 20 30 40', 'look 1 take 1>30x1'],
  ],
  'two stuck queues share one taker: eight in a round, who waits longest first': [
    ...workers(3),
    ['ready 1 @100', ''],
    ['ready 2 @101', ''],
    ['round @105 1=6 2=6 free 30', 'look 1 look 2'],
    ['round @110 1=6 2=6 free 30', 'look 1 look 2 take 1>30x6'],
    ['taken 1 6 6', ''],
    ['round @115 1=4 2=6 free 30', 'look 1 look 2 take 2>30x6'],
    ['taken 2 6 6', ''],
    ['round @120 1=4 2=6 free 30', 'look 1 look 2 take 1>30x4'],
  ],
  'a worker that was taken from takes nothing before its own queue has moved': [
    ...workers(3),
    ['ready 1 @100', ''],
    ['round @105 1=1 free 20', 'look 1'],
    ['round @110 1=1 free 20', 'look 1 take 1>20x1'],
    ['taken 1 1 1', ''],
    ['round @115 1=0', 'look 1'],
    ['round @120 1=0', 'look 1 watch 1'],
    ['ready 2 @200', ''],
    ['round @205 2=2', 'look 2'],
    ['round @210 2=2 free 10 30', 'look 2 take 2>30x2'],
    ['taken 2 2 2', ''],
    ['ready 1 @211', ''],
    // What came to it is gone, and it was not us.
    ['round @215 1=0 2=1 free 10', 'look 1 look 2'],
    ['round @220 1=0 2=1 free 10', 'look 1 look 2 take 2>10x1 watch 1'],
  ],
  'an orphan’s queue is emptied as soon as something comes, whoever is free': [
    ...workers(3),
    ['orphan 1', ''],
    ['leave 10', ''],
    ['ready 2 @99', ''],
    ['ready 1 @100', ''],
    ['next', '@100'],
    ['round @100 1=2 free 20 30', 'look 1 take 1>30x1 take 1>20x1'],
  ],
  'a retired queue is emptied at its first look, its own worker’s progress or not': [
    ...workers(2),
    ['add 3 0', ''],
    ['retire 3', 'watch 3'],
    ['ready 3 @100', ''],
    ['round @105 3=2 free 10 20', 'look 3 take 3>10x1 take 3>20x1'],
    ['taken 3 1 1', ''],
    ['taken 3 1 1', ''],
    ['round @110 3=1 free 10', 'look 3 take 3>10x1'],
  ],
  'nothing is watched where nobody else could take': [
    ['rule 10', ''],
    ['add 1 0', ''],
    ['add 2 7', ''],
    ['taker 10', ''],
    ['taker 20', ''],
    ['serve 1 10', ''],
    // Another listener’s worker is no help.
    ['serve 2 20', ''],
    ['orphan 2', ''],
    ['next', 'never'],
    ['add 3 0', ''],
    ['serve 3 20', 'watch 1 watch 3'],
    // Its own worker takes nothing: it is rescued all the same, by one whose queue is watched for that.
    ['leave 20', ''],
    ['ready 3 @100', ''],
    ['round @105 3=1 free 10', 'look 3'],
    ['round @110 3=1 free 10', 'look 3 take 3>10x1'],
    ['leave 10', 'unwatch 1'],
    ['next', 'never'],
  ],
  'a successor begins with a clean sheet, and nothing is for its predecessor': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['round @105 1=1 free 20', 'look 1'],
    ['leave 10', ''],
    ['taker 11', ''],
    ['serve 1 11', ''],
    ['round @110 1=1 free 20', 'look 1'],
    ['round @115 1=1 free 20', 'look 1'],
    ['ready 2 @116', ''],
    ['leave 20', ''],
    ['remove 2', ''],
    ['round @120 1=1 free 20', ''],
  ],
  'a queue that was seen empty twice costs nothing until its watch fires': [
    ...workers(2),
    ['ready 1 @100', ''],
    ['round @105 1=0', 'look 1'],
    ['round @110 1=0', 'look 1 watch 1'],
    ['next', 'never'],
  ],
};

for (const [name, table] of Object.entries(promises)) {
  test(name, () => {
    const input = table.map(([said]) => `${said}\n`).join('');
    const lines = execFileSync(testProgram('rescue-rule'), { input, encoding: 'utf8' }).split('\n');
    assert.deepEqual(
      table.map(([said], i) => [said, lines[i]?.trim()]),
      table.map(([said, decided]) => [said, decided]),
    );
  });
}
