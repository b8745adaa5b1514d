/** What `weft policy check` does: verdicts of policies in files. */
import { lastText, texts } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import type { Manifests, ReadableKind } from '../../kube/manifests/read-manifests.ts';
import {
  clusterNetworkPolicies,
  namespaces,
  networkPolicies,
  pods,
} from '../../kube/policy/resources.ts';
import {
  endpointSlices,
  nodes,
  type Resource,
  serviceCIDRs,
  services,
} from '../../kube/resources.ts';
import type { Service } from '../../kube/types.ts';
import { type MatrixChange, type MatrixEntry, matrix, matrixChanges } from '../../policy/matrix.ts';
import { changeText, matrixText } from '../../policy/matrix-text.ts';
import type { Probe, ProbeAnswer } from '../../policy/probe.ts';
import { answerProbe, parseProbe, parseProbeLine } from '../../policy/probes.ts';
import { type PolicyWorld, policyWorld } from '../../policy/world.ts';
import { DecodeError } from '../../util/errors.ts';
import type { CommandEffects } from '../effects.ts';
import { wantsJson } from '../output-flag.ts';
import { directoryOf } from '../question.ts';
import { UsageError } from '../usage.ts';
import { withPolicyPorts } from './ports.ts';
import { FileServices } from './services.ts';

type PolicyCheckEffects = Pick<
  CommandEffects,
  'readManifests' | 'readFile' | 'print' | 'printError'
>;

const { whyUnused: _, ...readServices } = services;
/** Those without a clusterIP too: to name what they lack. */
const ALL_SERVICES: Resource<Service> = { ...readServices, isSelected: () => true };

/** Everything that verdicts depend on. */
const KINDS: readonly ReadableKind[] = [
  pods,
  namespaces,
  nodes(),
  networkPolicies,
  clusterNetworkPolicies,
  ALL_SERVICES,
  endpointSlices,
  serviceCIDRs,
];
/** Lines are printed in pieces of about this many characters. */
const PIECE = 1 << 16;

/**
 * 0: every expectation holds and nothing differs. 1: some probe is not answered as expected, or
 * `--against` finds a difference. Throws UsageError for a wrong command line, DecodeError for
 * manifests or probes that cannot be read.
 */
export async function runPolicyCheck(
  flags: FlagValues,
  effects: PolicyCheckEffects,
): Promise<number> {
  const directory = directoryOf(flags, 'manifests');
  if (directory === undefined) {
    throw new UsageError('--manifests names no directory; see weft policy check --help');
  }
  const isJson = wantsJson(flags);
  const probes = probesOf(flags, effects);
  const before = directoryOf(flags, 'against');
  const world = await readWorld(directory, effects);
  let code = probes.length === 0 ? 0 : tellProbes(probes, world, isJson, effects);
  if (before !== undefined) {
    const changes = matrixChanges(await readWorld(before, effects), world);
    code = Math.max(code, tellChanges(changes, isJson, effects));
  }
  if (flags['matrix'] === true || (before === undefined && probes.length === 0)) {
    tellMatrix(matrix(world), isJson, effects);
  }
  return code;
}

function probesOf(flags: FlagValues, { readFile }: PolicyCheckEffects): readonly Probe[] {
  const file = lastText(flags['probes']);
  const lines = file === undefined ? [] : readFile(file).split('\n');
  return [
    ...texts(flags['probe']).map((text) => usage('--probe', () => parseProbe(text, true))),
    ...texts(flags['denied']).map((text) => usage('--denied', () => parseProbe(text, false))),
    ...lines.flatMap((line, index) =>
      line.trim() === '' ? [] : usage(`${file}:${index + 1}`, () => parseProbeLine(line)),
    ),
  ];
}

function usage<T>(where: string, parse: () => T): T {
  try {
    return parse();
  } catch (thrown) {
    if (thrown instanceof DecodeError) throw new UsageError(`${where}: ${thrown.message}`);
    throw thrown;
  }
}

async function readWorld(directory: string, effects: PolicyCheckEffects): Promise<PolicyWorld> {
  const manifests = await effects.readManifests(directory, KINDS);
  if (manifests.problems.length > 0) throw new UsageError(manifests.problems.join('\n'));
  tellUnread(directory, manifests, effects);
  const policies = {
    networkPolicies: manifests.of(networkPolicies),
    clusterNetworkPolicies: manifests.of(clusterNetworkPolicies),
  };
  const withPorts = withPolicyPorts(manifests.of(pods), policies);
  if (withPorts.leftOut > 0) {
    effects.printError(
      `weft: a pod has too many ports in policies; who may connect leaves ${withPorts.leftOut} out: ask with --probe\n`,
    );
  }
  const services = new FileServices({
    services: manifests.of(ALL_SERVICES),
    slices: manifests.of(endpointSlices),
    serviceCIDRs: manifests.of(serviceCIDRs),
    nodes: manifests.of(nodes()),
  });
  const world = {
    ...policyWorld({
      pods: withPorts.pods,
      namespaces: manifests.of(namespaces),
      nodes: manifests.of(nodes()),
      ...policies,
    }),
    services,
  };
  for (const { policy, problem } of world.evaluator.problems()) {
    effects.printError(`weft: ClusterNetworkPolicy ${policy}: ${problem}\n`);
  }
  return world;
}

/** Whoever has a Deployment where a Pod is meant, or an older kind of policy, must not read it as allowed. */
function tellUnread(
  directory: string,
  manifests: Manifests,
  { printError }: PolicyCheckEffects,
): void {
  const unread = Array.from(manifests.passedOver, ([kind, count]) => `${count} ${kind}`);
  if (unread.length > 0) printError(`weft: ${directory}: not read: ${unread.join(', ')}\n`);
  if (manifests.of(pods).length === 0) {
    printError(`weft: ${directory} has no Pods: nobody is asked about\n`);
  }
}

function tellProbes(
  probes: readonly Probe[],
  world: PolicyWorld,
  isJson: boolean,
  effects: PolicyCheckEffects,
): number {
  let code = 0;
  const lines = function* () {
    for (const probe of probes) {
      const answer = answerProbe(probe, world);
      if ('error' in answer) code = 2;
      else if (!isAsExpected(probe, answer)) code ||= 1;
      yield isJson ? `${JSON.stringify(answer)}\n` : probeText(probe, answer);
    }
  };
  printAll(lines(), effects);
  return code;
}

/** What is denied at some places is not as anybody expects it. */
function isAsExpected(
  { allowed }: Probe,
  answer: Exclude<ProbeAnswer, { readonly error: string }>,
): boolean {
  return allowed === undefined || (allowed === answer.allowed && answer.partly !== true);
}

function probeText(probe: Probe, answer: ProbeAnswer): string {
  const { from, to, port, protocol, allowed } = probe;
  const target = protocol === 'ICMP' ? `${to}/icmp` : `${to}:${port}/${protocol.toLowerCase()}`;
  if ('error' in answer) return `error    ${from} -> ${target}\n         ${answer.error}\n`;
  const isExpected = isAsExpected(probe, answer);
  const word = answer.allowed ? 'allowed' : answer.partly ? 'partly ' : 'denied ';
  const note = isExpected ? '' : `, expected ${allowed ? 'allowed' : 'denied'}`;
  return `${word}  ${from} -> ${target}${note}\n         ${answer.reason}\n`;
}

function tellChanges(
  changes: Iterable<MatrixChange>,
  isJson: boolean,
  effects: PolicyCheckEffects,
): number {
  let count = 0;
  const lines = function* () {
    for (const change of changes) {
      count++;
      yield isJson ? `${JSON.stringify(change)}\n` : changeText(change);
    }
  };
  printAll(lines(), effects);
  if (!isJson) effects.print(count === 0 ? 'no verdict differs\n' : `${count} verdicts differ\n`);
  return count === 0 ? 0 : 1;
}

function tellMatrix(
  entries: Iterable<MatrixEntry>,
  isJson: boolean,
  effects: PolicyCheckEffects,
): void {
  const jsonLines = function* () {
    for (const entry of entries) yield `${JSON.stringify(entry)}\n`;
  };
  printAll(isJson ? jsonLines() : matrixText(entries), effects);
}

function printAll(lines: Iterable<string>, { print }: PolicyCheckEffects): void {
  let piece = '';
  for (const line of lines) {
    piece += line;
    if (piece.length < PIECE) continue;
    print(piece);
    piece = '';
  }
  if (piece !== '') print(piece);
}
