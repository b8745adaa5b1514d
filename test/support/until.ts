import { setTimeout as sleep } from 'node:timers/promises';

const timeoutMs = 20_000;

/** Polls until a check gives something truthy, and gives it; throws with the check's last error. */
export async function until<T>(what: string, check: () => T | Promise<T>): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  while (performance.now() < deadline) {
    try {
      const value = await check();
      if (value) return value;
    } catch (thrown) {
      cause = thrown;
    }
    await sleep(20);
  }
  throw new Error(`waited ${timeoutMs} ms until ${what}`, { cause });
}
