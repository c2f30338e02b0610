import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SweptList } from '../../worker/swept-list.ts';

interface Member {
  isOver: boolean;
}

describe('a swept list', () => {
  it('shows and counts only what is not over', () => {
    const list = new SweptList<Member>(({ isOver }) => isOver);
    const members = Array.from({ length: 10 }, () => ({ isOver: false }));
    for (const member of members) list.add(member);
    members[3]!.isOver = true;
    members[4]!.isOver = true;
    assert.equal(list.size, 8);
    assert.deepEqual([...list], members.toSpliced(3, 2));
  });

  it('holds a bounded number of members that are over, however many come and go', () => {
    let asked = 0;
    const list = new SweptList<Member>(({ isOver }) => (asked++, isOver));
    const open = Array.from({ length: 1_000 }, () => ({ isOver: false }));
    for (const member of open) list.add(member);
    asked = 0;
    const RUNS = 100_000;
    const refs = Array.from({ length: RUNS }, () => {
      const member = { isOver: false };
      list.add(member);
      member.isOver = true;
      return member;
    });
    assert.ok(asked < 2 * RUNS, `expected a sweep to cost each arrival less than two looks, got ${asked / RUNS}`);
    asked = 0;
    assert.equal(list.size, open.length);
    assert.ok(asked <= 2 * open.length + 64, `expected at most twice the open ones and 64 to be kept, got ${asked} of ${refs.length}`);
  });
});
