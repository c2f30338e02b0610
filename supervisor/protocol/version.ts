/** This covet-pm's version, which the bundler writes in; `source` where the sources run as they are (bench/). */
declare const COVET_VERSION: string | undefined;

export const VERSION = typeof COVET_VERSION === 'undefined' ? 'source' : COVET_VERSION;
