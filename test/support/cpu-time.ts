/**
 * CPU time in the place of the clock's: what else runs on the machine does not lengthen it. The kernel's
 * part of system calls counts, and so does what threads of the process do; waiting does not.
 */

/** Runs `work`; gives its result and the CPU time, ms, that this process took until it was done. */
export async function cpuTimeOf<T>(
  work: () => T | Promise<T>,
): Promise<{ readonly result: T; readonly cpuMs: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { result, cpuMs: (user + system) / 1000 };
}

/** How long turns of the event loop hold it, until `stop` gives the CPU time of the longest, ms. */
export function watchHolds(): { stop(): number } {
  let longestMs = 0;
  let before = process.threadCpuUsage();
  let next = setImmediate(note);
  function note(): void {
    const { user, system } = process.threadCpuUsage(before);
    longestMs = Math.max(longestMs, (user + system) / 1000);
    before = process.threadCpuUsage();
    next = setImmediate(note);
  }
  return {
    stop() {
      clearImmediate(next);
      return longestMs;
    },
  };
}
