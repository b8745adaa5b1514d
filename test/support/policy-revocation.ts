/** Streams that a policy allowed and allows no more. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EnforcedLab } from './policy-enforced-lab.ts';
import type { Question } from './policy-matrix.ts';
import type { StreamCount } from './policy-pods.ts';
import { until } from './until.ts';

/** What is under way is received within this time. */
const ARRIVAL_MS = 20;

export interface RevokedStream {
  readonly bytesBefore: number;
  /** From when the commit returned. */
  readonly bytesAfter: number;
}

/** Has data pushed, one stream for each question, and waits until some of all of them came. */
export async function openStreams(lab: EnforcedLab, questions: readonly Question[]): Promise<void> {
  const first = (await lab.sockets.streams()).length;
  for (const { from, to, family, protocol, port } of questions) {
    lab.sockets.openStream({ from: from.index, host: to.ips[family], protocol, port });
  }
  await until('data of all streams came', async () =>
    (await lab.sockets.streams()).slice(first).every(({ bytes }) => bytes > 0),
  );
}

/** Makes the change and counts for a time what still comes after it. */
export async function countAfter(
  lab: EnforcedLab,
  change: () => void,
  watchMs: number,
): Promise<readonly RevokedStream[]> {
  change();
  lab.cluster.commit();
  const atCommit = await settledCounts(lab);
  await sleep(watchMs);
  const later = await lab.sockets.streams();
  return later.map(({ bytes }, i) => ({
    bytesBefore: atCommit[i]?.bytes ?? 0,
    bytesAfter: bytes - (atCommit[i]?.bytes ?? 0),
  }));
}

/** What had passed the rules before the commit may still be in a queue. */
async function settledCounts(lab: EnforcedLab): Promise<readonly StreamCount[]> {
  await sleep(ARRIVAL_MS);
  return lab.sockets.streams();
}
