/** A repeatable stream of numbers in [0, 1): the same seed gives the same faults (mulberry32). */
export function randomStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Numbers of a text, or one of the clock's. */
export function seedsOf(text: string): readonly number[] {
  const seeds = text.split(/[\s,]+/).filter((word) => word !== '');
  return seeds.length === 0 ? [Date.now() % 1_000_000] : seeds.map(Number);
}
