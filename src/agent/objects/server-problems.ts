import type { KubeCounts } from '../metrics/metrics.ts';

/** A server that restarts, or moves its leader, is back before this. */
const GRACE_MS = 5_000;

/** `API server 10.0.0.1:6443: connection refused for 63 s, …`: one line per cause. */
export function serverProblems(
  server: string,
  counts: readonly KubeCounts[],
  nowMs: number,
): readonly string[] {
  const causes = new Map<string, { readonly cure: string; readonly sinceMs: number }>();
  for (const { failing } of counts) {
    if (failing === undefined || nowMs - failing.sinceMs < GRACE_MS) continue;
    const { words, cure, sinceMs } = failing;
    const firstMs = Math.min(causes.get(words)?.sinceMs ?? sinceMs, sinceMs);
    causes.set(words, { cure, sinceMs: firstMs });
  }
  return Array.from(causes, ([words, { cure, sinceMs }]) => {
    const seconds = Math.round((nowMs - sinceMs) / 1000);
    return `${server}: ${words}, for ${seconds} s; what was last read is served; ${cure}`;
  });
}
