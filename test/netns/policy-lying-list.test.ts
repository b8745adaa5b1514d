/** A server that has lost half of what decides about pods: nobody is let in by that. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { PolicyFeed } from '../../src/agent/policy/feed.ts';
import { systemClock } from '../../src/util/clock.ts';
import {
  localPodChange,
  nodeChange,
  type OpenedEnforcer,
  openEnforcer,
} from '../support/policy-enforcer.ts';
import { createPolicyLab, type PolicyLab } from '../support/policy-lab.ts';
import { podObject } from '../support/policy-objects.ts';
import { until } from '../support/until.ts';
import { abort, prepare, server, useApiServer } from '../unit/kube/api/reflector-setup.ts';

const NODE = 'n1';
/** More than half of them are lost. */
const FILLERS = 30;
const LOST_MS = 1_500;
const PATIENCE_MS = 150;

let lab: PolicyLab;
let opened: OpenedEnforcer;
let feed: PolicyFeed;

useApiServer();
beforeAll(async () => {
  lab = await createPolicyLab({ pods: [['x/a', 'x/b', 'y/a']], ports: [80] });
}, 60_000);
afterAll(() => lab?.remove());

function put(plural: string, kind: string, object: unknown): void {
  // What the lab's builders make, with what a server adds.
  server.put(plural, { apiVersion: 'v1', kind, ...(object as object) } as never);
}

beforeEach(async () => {
  const { source } = await prepare();
  for (const name of ['x', 'y', ...fillers()]) {
    put('namespaces', 'Namespace', { metadata: { name, labels: { name } } });
    put('networkpolicies', 'NetworkPolicy', closed(name));
  }
  for (const { name, ips } of lab.pods) {
    put('pods', 'Pod', podObject(name, { ips: Object.values(ips), node: NODE }));
  }
  for (const [i, name] of fillers().entries()) {
    put('pods', 'Pod', podObject(`${name}/p`, { ips: [`10.244.9.${i + 1}`], node: NODE }));
  }
  opened = openEnforcer(lab.nodes[0]?.netns ?? raise(), NODE);
  const { enforcer } = opened;
  const ips = Object.values(lab.nodes[0]?.ips ?? {});
  enforcer.apply(nodeChange(NODE, ips));
  for (const pod of lab.pods) enforcer.apply(localPodChange(pod));
  feed = new PolicyFeed({
    ...{ source, nodeName: NODE, clock: systemClock },
    apply: (change) => enforcer.apply(change),
    onProgress: () => undefined,
  });
  source.start(abort.signal);
  await until('all was read', () => feed.isConfirmed);
  enforcer.setSynced();
  enforcer.commit();
});

afterEach(async () => {
  feed.close();
  await opened.close();
  lab.nodes[0]?.netns.run('nft', 'flush', 'ruleset');
});

const fillers = () => Array.from({ length: FILLERS }, (_, i) => `filler-${i}`);
const raise = (): never => {
  throw new Error('no node');
};

/** Only pods with the label of namespace x's own get in. */
const closed = (namespace: string) =>
  parse(`{metadata: {name: closed, namespace: ${namespace}}, spec: {podSelector: {},
    ingress: [{from: [{namespaceSelector: {matchLabels: {name: x}}}]}]}}`);

/** Who is answered by x/a. */
async function letIn(): Promise<readonly string[]> {
  const { ips } = lab.party('x/a');
  const senders = ['x/b', 'y/a'];
  const probes = senders.flatMap((name) =>
    ([4, 6] as const).map((family) => {
      const { index } = lab.party(name);
      return { from: index, protocol: 'TCP' as const, host: ips[family], port: 80 };
    }),
  );
  const outcomes = await lab.sockets.try(probes, PATIENCE_MS);
  return probes.flatMap((_, i) =>
    outcomes[i]?.kind === 'answered' ? [senders[i >> 1] ?? ''] : [],
  );
}

test.each([
  ['policies', 'networkpolicies'],
  ['namespaces', 'namespaces'],
  ['pods of this node', 'pods'],
])('a list without most of the %s opens nothing, and what is deleted does', async (_, plural) => {
  const own = ['x/b', 'x/b'];
  expect(await letIn()).toEqual(own);
  const lists = () =>
    server.requests.filter(({ path, isWatch }) => path.endsWith(plural) && !isWatch);
  const before = lists().length;
  const isKept = (name: string) => Number(name.replace('filler-', '')) % 4 === 0;
  server.isListed = ({ kind = '', metadata: { name, namespace = '' } }) => {
    const isOfKind = `${kind.toLowerCase()}s`.replace('policys', 'policies') === plural;
    return !isOfKind || isKept(plural === 'namespaces' ? name : namespace);
  };
  server.objects.compact();
  server.resetConnections();
  await until('it was listed again', () => lists().length > before);
  const since = performance.now();
  while (performance.now() - since < LOST_MS) expect(await letIn()).toEqual(own);
  server.isListed = () => true;
  server.delete('networkpolicies', 'x/closed');
  await until('the policy is gone', async () => (await letIn()).length === 4);
});
