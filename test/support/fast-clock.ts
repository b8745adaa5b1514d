/**
 * For `node --import`: the clock of a program runs as many times faster as the file FAST_CLOCK_FILE says, read
 * five times a second. Timers are shortened alike from their start on; what waits already is not.
 */
import { readFileSync } from 'node:fs';

const LOOK_MS = 200;
const file = process.env['FAST_CLOCK_FILE'];
const real = {
  now: Date.now.bind(Date),
  elapsed: performance.now.bind(performance),
  setTimeout: globalThis.setTimeout,
};
let factor = 1;
let [atReal, ahead] = [real.elapsed(), 0];

const aheadNow = () => ahead + (real.elapsed() - atReal) * (factor - 1);

function look(): void {
  let text = '';
  try {
    text = readFileSync(file ?? '', 'utf8');
  } catch {
    // Nobody has written it yet.
  }
  const wanted = Number(text) || 1;
  if (wanted === factor) return;
  [atReal, ahead] = [real.elapsed(), aheadNow()];
  factor = wanted;
}

if (file !== undefined) {
  setInterval(look, LOOK_MS).unref();
  Date.now = () => Math.round(real.now() + aheadNow());
  performance.now = () => real.elapsed() + aheadNow();
  const fast = (callback: () => void, ms = 0, ...rest: readonly unknown[]) =>
    real.setTimeout(callback, ms / factor, ...(rest as []));
  globalThis.setTimeout = Object.assign(fast, real.setTimeout) as typeof globalThis.setTimeout;
}
