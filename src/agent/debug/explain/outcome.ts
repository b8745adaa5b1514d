/** What becomes of a connection, in one word: what scripts ask for. Pure. */
import type { IP } from '../../../net/ip.ts';
import type { Explanation } from '../../../proxy/verdict/explanation.ts';
import type { PolicyOutcome } from '../policy-outcome.ts';
import type { Cause } from './cause.ts';
import type { LiveAnswer, LiveOutcome } from './live/live-outcome.ts';
import type { Way } from './way.ts';

export type Outcome = 'allowed' | 'refused' | 'dropped' | 'differs';

/** 1 and 2 are failures of the command, as everywhere. */
export const OUTCOME_EXIT_CODES: Readonly<Record<Outcome, number>> = {
  ...{ allowed: 0, refused: 3, dropped: 4, differs: 5 },
};

/** From good to bad: of several places where a connection may go the worst counts. */
const RANKS: readonly Outcome[] = ['allowed', 'refused', 'dropped', 'differs'];

export interface Modelled {
  readonly explanation: Explanation;
  readonly policies?: readonly PolicyOutcome[] | undefined;
  readonly ways: readonly Way[];
}

/** By the model alone. */
export function modelOutcome({ explanation, policies = [], ways }: Modelled): Outcome {
  switch (explanation.verdict.kind) {
    case 'reject':
    case 'reset':
      return 'refused';
    case 'drop':
      return 'dropped';
    case 'dnat':
    case 'pass':
      return worst([
        ...policies.map(({ isAllowed }) => (isAllowed ? 'allowed' : 'dropped') as Outcome),
        ...ways.map(wayOutcome),
      ]);
  }
}

/**
 * What a packet has shown. Where rules and the kernel did as the model says, what the endpoint answers
 * decides: it is not the model's to know who listens.
 */
export function liveOutcome(
  model: Modelled & { readonly outcome: Outcome },
  live: LiveAnswer,
): Outcome {
  if (!live.isNewConnection) return model.outcome;
  if (live.agreesWithModel === false) return 'differs';
  const expected = expectedOf(model, live.outcome);
  // What the model refuses or drops is what a kernel that reports no rules does not track.
  if (isUntracked(live) && expected !== 'allowed') return expected;
  // The model may know why nothing comes back.
  if (live.reply === null && expected === 'dropped') return 'dropped';
  const node = nodeOutcome(live);
  if (node !== 'allowed') return isAsSaid(node, expected, model) ? node : 'differs';
  if (expected !== 'allowed') return 'differs';
  return live.reply === null ? silentOutcome(model) : repliedOutcome(live.reply);
}

function isUntracked({ outcome }: LiveAnswer): boolean {
  return outcome.kind === 'unknown' && outcome.stage === 'untracked';
}

/** The kernel does not send an ICMP error for every packet that it has no route for. */
function isAsSaid(node: Outcome, expected: Outcome, { ways }: Modelled): boolean {
  const isByRoute = ways.some(({ causes }) => causes.some(({ id }) => id === 'no-route'));
  return node === expected || (isByRoute && expected !== 'allowed');
}

/** What the rules and the kernel of this node did, whoever answers. */
function nodeOutcome({ outcome, reply }: LiveAnswer): Outcome {
  switch (outcome.kind) {
    case 'refused':
    case 'closed':
      return 'refused';
    // Whether or not the client was told by a reset.
    case 'denied':
      return 'dropped';
    case 'dropped':
    case 'unknown':
      return isRefusal(reply) ? 'refused' : 'dropped';
    case 'sent':
    case 'delivered': {
      const isOnItsWay = reply?.outcome.kind === 'sent' || reply?.outcome.kind === 'delivered';
      const isBack = isOnItsWay && reply.isUntranslated !== true;
      return reply === null || reply === undefined || isBack ? 'allowed' : 'dropped';
    }
  }
}

function isRefusal(reply: LiveAnswer['reply']): boolean {
  return reply?.kind === 'refused' || reply?.kind === 'unreachable';
}

/** Of the place that it went to, if that is known. */
function expectedOf(
  { ways, policies = [], outcome }: Modelled & { readonly outcome: Outcome },
  went: LiveOutcome,
): Outcome {
  if (!('destination' in went)) return outcome;
  const isThere = ({ ip, port }: { readonly ip: IP; readonly port: number }) =>
    ip === went.destination && port === went.port;
  const way = ways.find(({ place }) => isThere(place));
  const policy = policies.find(isThere);
  if (policy?.isAllowed === false) return 'dropped';
  return way === undefined ? outcome : wayOutcome(way);
}

/** Who answers a datagram without content? */
function silentOutcome({ explanation }: Modelled): Outcome {
  return explanation.packet.protocol === 'tcp' ? 'dropped' : 'allowed';
}

function repliedOutcome(reply: LiveAnswer['reply']): Outcome {
  return isRefusal(reply) ? 'refused' : 'allowed';
}

export function wayOutcome({ causes }: Way): Outcome {
  return worst(causes.map(causeOutcome));
}

function causeOutcome({ effect }: Cause): Outcome {
  if (effect === 'drops') return 'dropped';
  return effect === 'refuses' ? 'refused' : 'allowed';
}

export function worst(outcomes: readonly Outcome[]): Outcome {
  const rank = Math.max(0, ...outcomes.map((outcome) => RANKS.indexOf(outcome)));
  return RANKS[rank] ?? 'allowed';
}
