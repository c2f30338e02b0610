/**
 * The open connections of a server: a set in an array, each member knowing its place in it. At one request per connection a Set cost a
 * worker 4 % of its time, in rehashing what comes and goes.
 */

/** What a list needs of its member, which is in one list at a time. */
export interface Listed {
  /** -1: in none. Written by the list. */
  place: number;
}

export class ConnectionList<T extends Listed> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  /** One that is in no list. */
  add(member: T): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** One that is in this list, or in none. */
  delete(member: T): void {
    if (member.place === -1) return;
    const last = this.#members.pop()!;
    if (last !== member) {
      this.#members[member.place] = last;
      last.place = member.place;
    }
    member.place = -1;
  }

  /** Those that are in it now, in no order: they may leave meanwhile. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#members.slice().values();
  }
}
