/** Roles: what a policy set says to one kind of peer, for every protocol and port. */
import type { Direction } from '../kube/policy/types.ts';
import type { Protocol } from '../kube/types.ts';
import { portBytes } from '../nftables/bytes.ts';
import type { Element } from '../nftables/model.ts';
import type { CompiledPolicy } from './compiled.ts';
import { idBytes } from './ids.ts';

/** A verdict and who gives it. */
export interface Outcome {
  readonly isAllowed: boolean;
  /** Undefined where no policy says anything. */
  readonly tier: CompiledPolicy['tier'] | undefined;
  readonly direction: Direction;
  /** One that decides, or all that isolate and allow nothing. */
  readonly policies: readonly string[];
  /** Two with the same one are the same. */
  readonly text: string;
}

/** Up to this port, from where the one before ends. */
interface Segment {
  readonly last: number;
  readonly outcome: Outcome;
}

/** Segments of TCP, of UDP, of SCTP and of all other protocols, which have one. */
export interface Role {
  readonly text: string;
  readonly segments: readonly (readonly Segment[])[];
}

export function outcomeOf(
  direction: Direction,
  isAllowed: boolean,
  by: { readonly tier?: CompiledPolicy['tier']; readonly policies: readonly string[] },
): Outcome {
  const { tier, policies } = by;
  // What nobody has decided is counted for nobody, so that both directions can share it.
  const decided = tier === undefined ? '' : `${direction} ${tier} `;
  const text = `${isAllowed ? '+' : '-'}${decided}${policies.join()}`;
  return { isAllowed, tier, direction, policies, text };
}

export const NO_POLICY = outcomeOf('egress', true, { policies: [] });
/** Left to the next tier. */
export const PASSED = outcomeOf('egress', false, { policies: ['pass'] });

const LAST_PORT = 0xffff;
const OTHERS = 3;
const PROTOCOLS: Readonly<Record<Protocol, number>> = { TCP: 0, UDP: 1, SCTP: 2 };
/** Protocol numbers in order, with the index of their segments: IPPROTO_TCP 6, UDP 17, SCTP 132. */
const NUMBERS: readonly (readonly [first: number, last: number, index: number])[] = [
  [0, 5, OTHERS],
  [6, 6, PROTOCOLS.TCP],
  [7, 16, OTHERS],
  [17, 17, PROTOCOLS.UDP],
  [18, 131, OTHERS],
  [132, 132, PROTOCOLS.SCTP],
  [133, 255, OTHERS],
];

type Draft = { readonly last: number; readonly outcome: Outcome | undefined };

/** Makes a role: whoever decides first about a port has decided. */
export class RolePainter {
  #drafts: readonly (readonly Draft[])[] = Array.from({ length: OTHERS + 1 }, () => [
    { last: LAST_PORT, outcome: undefined },
  ]);

  paint(protocol: Protocol, first: number, last: number, outcome: Outcome): void {
    const at = PROTOCOLS[protocol];
    this.#drafts = this.#drafts.map((draft, i) =>
      i === at ? painted(draft, first, last, outcome) : draft,
    );
  }

  paintAll(outcome: Outcome): void {
    this.#drafts = this.#drafts.map((draft) => painted(draft, 0, LAST_PORT, outcome));
  }

  /** What was left to the next tier is open again. */
  endTier(): void {
    this.#drafts = this.#drafts.map((draft) =>
      draft.map(({ last, outcome }) => ({
        last,
        outcome: outcome === PASSED ? undefined : outcome,
      })),
    );
  }

  /** The rest is `rest`. */
  finish(rest: Outcome): Role {
    this.paintAll(rest);
    const segments = this.#drafts.map((draft) => merged(draft, rest));
    const text = segments
      .map((each) => each.map(({ last, outcome }) => `${last}${outcome.text}`).join(';'))
      .join('|');
    return { text, segments };
  }
}

export function plainRole(outcome: Outcome): Role {
  return new RolePainter().finish(outcome);
}

/** Whether everything that the other allows is allowed. */
export function covers(role: Role, other: Role): boolean {
  return role.segments.every((segments, i) => {
    const theirs = other.segments[i] ?? [];
    return theirs.every(({ last, outcome }, at) => {
      if (!outcome.isAllowed) return true;
      const first = (theirs[at - 1]?.last ?? -1) + 1;
      return segments.every(
        (own, k) =>
          own.outcome.isAllowed || own.last < first || (segments[k - 1]?.last ?? -1) + 1 > last,
      );
    });
  });
}

/** A verdict's element, and who it counts for. */
export interface RoleElement {
  readonly element: Element;
  readonly outcome: Outcome;
}

/** Disjoint rectangles of protocols and ports that together are everything. */
export function roleElements(id: number, role: Role): readonly RoleElement[] {
  const elements: RoleElement[] = [];
  for (let at = 0; at < NUMBERS.length; ) {
    const [first, , index] = NUMBERS[at] ?? [0, 0, 0];
    const segments = role.segments[index] ?? [];
    let end = at;
    while (isSame(segments, role.segments[NUMBERS[end + 1]?.[2] ?? -1])) end++;
    const last = NUMBERS[end]?.[1] ?? first;
    let from = 0;
    for (const segment of segments) {
      elements.push(rectangle(id, [first, last], [from, segment.last], segment.outcome));
      from = segment.last + 1;
    }
    at = end + 1;
  }
  return elements;
}

function rectangle(
  id: number,
  [firstProtocol, lastProtocol]: readonly [number, number],
  [firstPort, lastPort]: readonly [number, number],
  outcome: Outcome,
): RoleElement {
  const at = (protocol: number, port: number) =>
    `${idBytes(id)}${String.fromCharCode(protocol)}\0\0\0${portBytes(port)}`;
  const data = outcome.isAllowed ? 'return' : 'continue';
  const key = at(firstProtocol, firstPort);
  const keyEnd = at(lastProtocol, lastPort);
  return { element: key === keyEnd ? { key, data } : { key, keyEnd, data }, outcome };
}

function isSame(a: readonly Segment[], b: readonly Segment[] | undefined): boolean {
  return (
    b !== undefined &&
    a.length === b.length &&
    a.every(({ last, outcome }, i) => last === b[i]?.last && outcome.text === b[i].outcome.text)
  );
}

function painted(
  draft: readonly Draft[],
  first: number,
  last: number,
  outcome: Outcome,
): readonly Draft[] {
  const result: Draft[] = [];
  let at = 0;
  for (const part of draft) {
    if (part.outcome !== undefined || part.last < first || at > last) {
      result.push(part);
    } else {
      if (at < first) result.push({ last: first - 1, outcome: undefined });
      result.push({ last: Math.min(part.last, last), outcome });
      if (part.last > last) result.push(part);
    }
    at = part.last + 1;
  }
  return result;
}

function merged(draft: readonly Draft[], rest: Outcome): readonly Segment[] {
  const segments: Segment[] = [];
  for (const { last, outcome = rest } of draft) {
    if (segments.at(-1)?.outcome.text === outcome.text) segments.pop();
    segments.push({ last, outcome });
  }
  return segments;
}
