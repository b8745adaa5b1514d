/** What a policy says in one direction, as few rules as say the same. Pure. */
import type { Direction, NamedPort } from '../kube/policy/types.ts';
import type { CompiledPolicy, CompiledRule } from './compiled-policy.ts';
import { joinedBlocks, type RulePeer, type RulePeers } from './peers.ts';
import type { PortRange } from './port-classes.ts';
import { portRanges, type RulePort, type RulePorts } from './ports.ts';
import { type Outcome, PROTOCOLS, type RolePainter } from './role.ts';

type NamedRulePort = Extract<RulePort, { kind: 'named' }>;

/** Ranges by the index of their protocol, in order and without overlaps; and ports of destinations. */
export type StepPorts =
  | 'everything'
  | {
      readonly ranges: readonly (readonly PortRange[])[];
      readonly named: readonly NamedRulePort[];
    };

export interface Step {
  readonly action: CompiledRule['action'];
  readonly peers: RulePeers;
  readonly ports: StepPorts;
}

/**
 * Of rules of a NetworkPolicy, which add up, those with the same ports are one, and of all rules the blocks are
 * one peer: who counts for a policy is told no closer.
 */
export function stepsOf(policy: CompiledPolicy, direction: Direction): readonly Step[] {
  const known = stepsByPolicy[direction].get(policy) ?? computeSteps(policy, direction);
  stepsByPolicy[direction].set(policy, known);
  return known;
}

const stepsByPolicy: Record<Direction, WeakMap<CompiledPolicy, readonly Step[]>> = {
  egress: new WeakMap(),
  ingress: new WeakMap(),
};

function computeSteps({ tier, rules }: CompiledPolicy, direction: Direction): readonly Step[] {
  const steps = (rules[direction] ?? []).map(({ action, peers, ports }) => ({
    ...{ action, peers },
    ports: stepPorts(ports),
  }));
  const merged = tier === 'NetworkPolicy' && steps.length > 1 ? withoutEquals(steps) : steps;
  return merged.map((step) =>
    step.peers === 'everybody' ? step : { ...step, peers: joinedBlocks(step.peers) },
  );
}

const PROTOCOL_INDICES = Object.values(PROTOCOLS);

export function countOf(ports: StepPorts): number {
  if (ports === 'everything') return 1;
  return ports.ranges.reduce((sum, { length }) => sum + length, ports.named.length);
}

/** Steps with one outcome between them, with the ports of the destination; all at once, as each goes through the draft. */
export function paintSteps(
  painter: RolePainter,
  steps: readonly Pick<Step, 'ports'>[],
  outcome: Outcome,
  named: readonly NamedPort[],
): void {
  const all = PROTOCOL_INDICES.map((): (readonly PortRange[])[] => []);
  for (const { ports } of steps) {
    if (ports === 'everything') {
      painter.paintAll(outcome);
      return;
    }
    ports.ranges.forEach((ranges, i) => {
      if (ranges.length > 0) all[i]?.push(ranges);
    });
    for (const port of ports.named) {
      for (const { protocol, first, last } of portRanges(port, named)) {
        all[PROTOCOLS[protocol]]?.push([{ first, last }]);
      }
    }
  }
  all.forEach(([ranges, ...others], i) => {
    if (ranges === undefined) return;
    painter.paint(
      i,
      others.length === 0 ? ranges : joinedRanges([ranges, ...others].flat()),
      outcome,
    );
  });
}

function withoutEquals(steps: readonly Step[]): readonly Step[] {
  const groups = Map.groupBy(steps, ({ ports }) => JSON.stringify(ports));
  return Array.from(groups.values(), (group) => {
    const [first] = group;
    if (first === undefined || group.length === 1) return first ?? [];
    const peers = new Map<string, RulePeer>();
    for (const step of group) {
      if (step.peers === 'everybody') return step;
      for (const peer of step.peers) peers.set(peer.key, peer);
    }
    return { ...first, peers: [...peers.values()] };
  }).flat();
}

function stepPorts(ports: RulePorts): StepPorts {
  if (ports === 'everything') return ports;
  const ranges: PortRange[][] = [[], [], []];
  const named: NamedRulePort[] = [];
  for (const port of ports) {
    if (port.kind === 'named') named.push(port);
    else if (port.first <= port.last) ranges[PROTOCOLS[port.protocol]]?.push(port);
  }
  return { ranges: ranges.map(joinedRanges), named };
}

function joinedRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const kept: { first: number; last: number }[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = kept.at(-1);
    if (before === undefined || before.last < first - 1) kept.push({ first, last });
    else before.last = Math.max(before.last, last);
  }
  return kept;
}
