/** What became of a real packet, in words. */
import type { LiveAnswer, LiveOutcome } from './live-outcome.ts';

/** Lines for the terminal; null: no packet came. */
export function liveText(live: LiveAnswer | null): readonly string[] {
  if (live === null)
    return ['Live: no such packet came in time; make a connection while this waits.'];
  const lines = ['Live, a packet on its way:', ...live.steps.map((step) => `    ${step}`)];
  lines.push(`    ${outcomeText(live.outcome)}`);
  if (!live.isNewConnection) {
    lines.push('It belongs to a connection made earlier, which stays where it went then.');
  } else if (live.agreesWithModel !== undefined) {
    lines.push(
      live.agreesWithModel
        ? 'That is what the model says.'
        : 'That is NOT what the model says: weft diff tells whether the rules are as they should be.',
    );
  }
  return lines;
}

function outcomeText(outcome: LiveOutcome): string {
  switch (outcome.kind) {
    case 'sent':
      return `sent on to ${outcome.destination} port ${outcome.port ?? '?'}, from ${outcome.source}`;
    case 'delivered':
      return `delivered to this node at ${outcome.destination} port ${outcome.port ?? '?'}`;
    case 'refused':
      return `refused by ${outcome.table}, chain ${outcome.chain}`;
    case 'denied':
      return `denied by policies, in ${outcome.table}, chain ${outcome.chain}`;
    case 'dropped':
      return `dropped by ${outcome.table}, chain ${outcome.chain}`;
    case 'unknown':
      return 'neither sent, delivered nor dropped within half a second: something else holds it';
  }
}
