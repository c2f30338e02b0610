/**
 * How much is run: a handful by default, every cell with `--all` (COVET_TEST_ALL=1), and one further cell that COVET_TEST_SEED
 * picks. Which seed it was is in the test's name, so that a failure can be run again.
 */
/** This run repeats another as another user or on another Node (scripts/run-tests.mjs). */
export const isAgain = process.env['COVET_TEST_AGAIN'] === '1';

export const ALL = process.env['COVET_TEST_ALL'] === '1';

/**
 * For a control, a test that shows that others can fail: skipped in a run that repeats them as another user or on another Node, for whether a
 * client sees a loss does not depend on either.
 */
export const control = { skip: isAgain ? 'shown by the first run' : false };

/** For a cell beside another that such a run has: in a default run the first run alone shows it. */
export const further = { skip: isAgain && !ALL ? 'shown by the first run' : false };

export const SEED = Number(process.env['COVET_TEST_SEED'] ?? Math.floor(Date.now() / 86_400_000));

/** In a default run one of `cells`, by the seed; in a full run all of them. */
export function picked<T>(cells: readonly T[], salt = 0): readonly T[] {
  if (ALL) return cells;
  const cell = cells[(SEED * 7_919 + salt) % cells.length];
  return cell === undefined ? [] : [cell];
}

/** A cell among `cells` that the seed picks in a default run, and that a run which repeats another leaves out. */
export function pickedCell<T>(cell: T, cells: readonly T[]): { readonly skip: string | boolean } {
  if (further.skip !== false) return further;
  return { skip: picked(cells).includes(cell) ? false : 'not the cell that the seed picked' };
}

export const isRoot = process.getuid?.() === 0;
