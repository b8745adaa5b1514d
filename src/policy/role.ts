/** Roles: what a policy set says to one kind of peer, for every protocol and port. */
import type { Direction } from '../kube/policy/types.ts';
import type { Protocol } from '../kube/types.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import { PORT_PROTOCOLS, type PortProtocol, type PortRange } from './port-classes.ts';

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
/** Indices of their segments. */
export const PROTOCOLS: Readonly<Record<Protocol, number>> = { TCP: 0, UDP: 1, SCTP: 2 };
type Draft = { readonly last: number; readonly outcome: Outcome | undefined };

/** Makes a role: whoever decides first about a port has decided. */
export class RolePainter {
  #drafts: (readonly Draft[])[] = Array.from({ length: OTHERS + 1 }, () => [
    { last: LAST_PORT, outcome: undefined },
  ]);

  /** Ranges of one protocol, by its index, in order and without overlaps. */
  paint(at: number, ranges: readonly PortRange[], outcome: Outcome): void {
    this.#drafts[at] = painted(this.#drafts[at] ?? [], ranges, outcome);
  }

  paintAll(outcome: Outcome): void {
    this.#drafts = this.#drafts.map((draft) =>
      draft.map((part) => (part.outcome === undefined ? { last: part.last, outcome } : part)),
    );
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

/** Whether everything that the other allows is allowed. Both may have thousands of segments, so once through them. */
export function covers(role: Role, other: Role): boolean {
  return role.segments.every((segments, i) => {
    let at = 0;
    return (other.segments[i] ?? []).every(({ last, outcome }) => {
      for (let end = -1; end < last; ) {
        const own = segments[at];
        if (own === undefined) return true;
        if (outcome.isAllowed && !own.outcome.isAllowed) return false;
        end = own.last;
        if (end <= last) at++;
      }
      return true;
    });
  });
}

/** What a role says of a protocol with ports. */
export interface RolePart {
  readonly protocol: PortProtocol;
  /** Of all ports that are not excepted. */
  readonly rest: Outcome;
  readonly exceptions: readonly Exception[];
}

export interface Exception extends PortRange {
  readonly outcome: Outcome;
}

export function partsOf({ segments }: Role): readonly RolePart[] {
  return PORT_PROTOCOLS.map((protocol, i) => {
    const all = (segments[i] ?? []).map(({ last, outcome }, at, own) => {
      return { first: (own[at - 1]?.last ?? -1) + 1, last, outcome };
    });
    const rest = widest(all);
    return { protocol, rest, exceptions: all.filter(({ outcome }) => outcome.text !== rest.text) };
  });
}

/** What a role says of protocols without ports. */
export function otherProtocols({ segments }: Role): Outcome {
  return segments[OTHERS]?.[0]?.outcome ?? NO_POLICY;
}

/** What is said of most ports. */
function widest(exceptions: readonly Exception[]): Outcome {
  const widths = new Map<string, number>();
  let found: Outcome = NO_POLICY;
  let most = 0;
  for (const { first, last, outcome } of exceptions) {
    const width = (widths.get(outcome.text) ?? 0) + last - first + 1;
    widths.set(outcome.text, width);
    if (width <= most) continue;
    most = width;
    found = outcome;
  }
  return found;
}

/** Where nobody has decided yet. */
function painted(
  draft: readonly Draft[],
  ranges: readonly PortRange[],
  outcome: Outcome,
): readonly Draft[] {
  const result: Draft[] = [];
  let next = 0;
  let at = 0;
  for (const part of draft) {
    while ((ranges[next]?.last ?? LAST_PORT) < at) next++;
    if (part.outcome !== undefined) {
      result.push(part);
    } else {
      for (let range = ranges[next]; range !== undefined && range.first <= part.last; ) {
        if (at < range.first) result.push({ last: range.first - 1, outcome: undefined });
        const last = Math.min(part.last, range.last);
        result.push({ last, outcome });
        at = last + 1;
        range = range.last > part.last ? undefined : ranges[++next];
      }
      if (at <= part.last) result.push(part);
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
