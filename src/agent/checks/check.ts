/**
 * A check is a pure function of facts. Facts that belong together are read once, for all checks of
 * their subject; what cannot be read makes exactly those checks that need it unknown.
 */
import { toError } from '../../util/errors.ts';
import type { Finding } from '../status/finding.ts';
import type { CheckedNode } from './checked-node.ts';

/** Why something is not known. */
export interface Unread {
  readonly unread: string;
}

/** A value of the node, or why it could not be read. */
export type Fact<T> = T | Unread;

/** What a check says; undefined where it does not concern this node. */
export type Verdict =
  | { readonly level: 'ok'; readonly seen: string }
  | {
      readonly level: 'warning' | 'failing';
      readonly seen: string;
      readonly cure: string;
      /** Where it is another than that of the check. */
      readonly why?: string;
    };

export interface Check<Facts> {
  readonly id: string;
  readonly concernsTraffic: boolean;
  /** What the thing it looks at is for. */
  readonly why: string;
  /** Asks `known` for each fact that it needs. */
  readonly judge: (facts: Facts) => Verdict | undefined;
}

/** Checks that share their facts. */
export interface Subject {
  readonly ids: readonly string[];
  look(node: CheckedNode): Promise<readonly Finding[]>;
}

class UnreadError extends Error {}

/** The value of a fact; ends the check that asks for one that could not be read. */
export function known<T>(fact: Fact<T>): T {
  if (isUnread(fact)) throw new UnreadError(fact.unread);
  return fact;
}

export function isUnread(fact: unknown): fact is Unread {
  return typeof fact === 'object' && fact !== null && 'unread' in fact;
}

/** What `read` gives, or why it does not. */
export function factOf<T>(read: () => T): Fact<T> {
  try {
    return read();
  } catch (thrown) {
    return { unread: toError(thrown).message };
  }
}

/** What a check makes of facts; undefined where it does not concern this node. */
export function findingOf<Facts>(check: Check<Facts>, facts: Facts): Finding | undefined {
  const { id, concernsTraffic, why } = check;
  try {
    const verdict = check.judge(facts);
    if (verdict === undefined) return undefined;
    return { check: id, concernsTraffic, why, cure: '', ...verdict };
  } catch (thrown) {
    if (thrown instanceof UnreadError) return unknownFinding(check, thrown.message);
    throw thrown;
  }
}

/** Binds checks to what reads their facts. */
export function subjectOf<Facts>(
  checks: readonly Check<Facts>[],
  read: (node: CheckedNode) => Facts | Promise<Facts>,
): Subject {
  return {
    ids: checks.map(({ id }) => id),
    async look(node) {
      let facts: Facts;
      try {
        facts = await read(node);
      } catch (thrown) {
        return checks.map((check) => unknownFinding(check, toError(thrown).message));
      }
      return checks.flatMap((check) => findingOf(check, facts) ?? []);
    },
  };
}

function unknownFinding<Facts>(
  { id: check, concernsTraffic, why }: Check<Facts>,
  reason: string,
): Finding {
  const seen = `not known: ${reason}`;
  return { check, level: 'unknown', concernsTraffic, seen, why, cure: '' };
}
