/** What became of a real packet, in words. */
import { formatHostPort } from '../../../../net/host-port.ts';
import { wrapped } from '../../../../util/text-layout.ts';
import { causeLines } from '../way-text.ts';
import type { LiveAnswer, LiveOutcome, LiveReply } from './live-outcome.ts';

/** Lines for the terminal; null: no packet came. */
export function liveText(live: LiveAnswer | null): readonly string[] {
  if (live === null) {
    const words = 'no such packet came in time; make a connection while this waits, or add --send.';
    return wrapped(`Live: ${words}`, { first: '', next: '    ' });
  }
  return [
    'Live, a packet on its way:',
    ...live.steps.map((step) => `    ${step}`),
    ...wrapped(outcomeText(live.outcome), { first: '    ', next: '        ' }),
    ...replyLines(live.reply),
    ...probedLines(live),
    ...agreementLines(live),
    ...causeLines(live.causes),
    ...live.unseen.flatMap((what) => wrapped(`Not seen: ${what}.`, { first: '', next: '    ' })),
  ];
}

function replyLines(reply: LiveReply | null | undefined): readonly string[] {
  if (reply === undefined) return [];
  if (reply === null) return ['Live, the reply: none came.'];
  return [
    `Live, the reply (${REPLIES[reply.kind]}):`,
    ...reply.steps.map((step) => `    ${step}`),
    ...wrapped(outcomeText(reply.outcome), { first: '    ', next: '        ' }),
  ];
}

const REPLIES = {
  answered: 'an answer',
  refused: 'a TCP reset',
  unreachable: 'an ICMP error',
  tooBig: 'an ICMP error: a link on the way passes only smaller packets',
} as const;

function probedLines({ probed }: LiveAnswer): readonly string[] {
  if (probed === undefined) return [];
  const words = {
    answers: 'answers',
    refuses: 'refuses: nothing listens',
    silent: 'answers nothing',
    unreachable: 'cannot be reached',
  } as const;
  return [
    `Asked from this node, ${formatHostPort(probed.ip, probed.port)} ${words[probed.answer]}.`,
  ];
}

function agreementLines({ isNewConnection, agreesWithModel }: LiveAnswer): readonly string[] {
  if (!isNewConnection) {
    return ['It belongs to a connection made earlier, which stays where it went then.'];
  }
  if (agreesWithModel === undefined) return [];
  return agreesWithModel
    ? ['That is what the model says.']
    : ['That is NOT what the model says. weft diff tells whether our rules are there.'];
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
    case 'closed':
      return `at ${formatHostPort(outcome.ip, outcome.port)} of this node it is refused`;
    case 'unknown':
      return `it ends ${ENDS[outcome.stage]}`;
  }
}

const ENDS = {
  untracked:
    'on this node: it was dropped or refused before it left, and this kernel does not tell where',
  tracking: 'in connection tracking',
  prerouting: 'at the routing',
  forward: 'at the forward hook',
  afterForward: 'behind the forward hook',
  input: 'at the input hook',
  output: 'at the output hook',
  postrouting: 'at the postrouting hook',
} as const;
