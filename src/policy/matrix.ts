/** Verdicts of every pod to every other, and what differs between two sets of policies. */
import type { Protocol } from '../kube/types.ts';
import type { PodParty } from './parties.ts';
import type { Probe } from './probe.ts';
import { answerProbe } from './probes.ts';
import type { PolicyWorld } from './world.ts';

export interface Port {
  readonly protocol: Protocol;
  readonly port: number;
}

export interface MatrixEntry extends Port {
  readonly from: string;
  readonly to: string;
  readonly allowed: boolean;
  readonly reason: string;
}

/** What a change of policies does to one pair of pods and a port. */
export interface MatrixChange extends Port {
  readonly from: string;
  readonly to: string;
  readonly allowedBefore: boolean;
  readonly allowed: boolean;
  /** Of the verdict afterwards. */
  readonly reason: string;
}

/** Stands for a pod that names no port of its own. */
const PORT_OF_ITS_OWN: Port = { protocol: 'TCP', port: 80 };

/** By destination, then port, then source; no pod to itself. */
export function* matrix(world: PolicyWorld): Generator<MatrixEntry> {
  const pods = inOrder(world.parties.pods());
  for (const to of pods) {
    for (const port of portsOf(to)) {
      for (const from of pods) {
        if (from !== to) yield entryOf(from.key, to.key, port, world);
      }
    }
  }
}

/** Pairs of pods that are there before and after, with ports of either. */
export function* matrixChanges(before: PolicyWorld, after: PolicyWorld): Generator<MatrixChange> {
  const former = new Map(before.parties.pods().map((pod) => [pod.key, pod]));
  const pods = inOrder(after.parties.pods()).filter(({ key }) => former.has(key));
  for (const to of pods) {
    for (const port of portsOf(to, former.get(to.key))) {
      for (const { key: from } of pods) {
        if (from === to.key) continue;
        const was = entryOf(from, to.key, port, before);
        const entry = entryOf(from, to.key, port, after);
        if (was.allowed !== entry.allowed) yield { ...entry, allowedBefore: was.allowed };
      }
    }
  }
}

function entryOf(from: string, to: string, port: Port, world: PolicyWorld): MatrixEntry {
  const probe: Probe = { from, to, ...port };
  const answer = answerProbe(probe, world);
  // Both are pods of this world.
  if ('error' in answer) throw new Error(answer.error);
  const { allowed, reason } = answer;
  return { from, to, ...port, allowed, reason };
}

function portsOf(...pods: readonly (PodParty | undefined)[]): readonly Port[] {
  const declared = pods.flatMap((pod) => pod?.ports ?? []);
  if (declared.length === 0) return [PORT_OF_ITS_OWN];
  const byText = new Map(
    declared.map(({ protocol, port }) => [`${protocol} ${port}`, { protocol, port }]),
  );
  return [...byText.values()].sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1));
}

function inOrder(pods: readonly PodParty[]): readonly PodParty[] {
  return [...pods].sort((a, b) => (a.key < b.key ? -1 : 1));
}
