/** Randomness that can be played again: the seed comes from COVET_TEST_SEED, else from the clock, and is in every failure's message. */

export function testSeed(): number {
  const given = process.env['COVET_TEST_SEED'];
  return given === undefined || given === '' ? Date.now() % 2_147_483_647 : Number(given);
}

/** mulberry32: from 0 up to 1. */
export function seededRandom(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
