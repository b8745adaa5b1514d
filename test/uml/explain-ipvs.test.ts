/** What `weft explain --live` tells of IPVS, with packets: its kernel reports no rules of IPv4. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askAgent } from '../../src/agent/debug/client.ts';
import type { CauseId } from '../../src/agent/debug/explain/cause.ts';
import type { Outcome } from '../../src/agent/debug/explain/outcome.ts';
import type { ExplainAnswer } from '../../src/agent/debug/explain.ts';
import { explainText } from '../../src/agent/debug/explain-text.ts';
import { LabAgent } from '../support/flows/agent.ts';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { endpointsOf, loadBalancer, sliceOf } from '../support/flows/objects.ts';
import { recordPod } from '../support/pod-records.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { until } from '../support/until.ts';

let lab: ProxyLab;
let agent: LabAgent;

beforeAll(async () => {
  lab = await createProxyLab();
  agent = new LabAgent(lab);
  writeService('far', 2, 'remote', 8080);
  writeService('dead', 3, 'remote', 9999);
  writeService('none', 4, undefined, 8080);
  const addresses = [`${IPV4.client}/24`, `${IPV6.client}/64`];
  const where = { bridge: 'br0', hostLink: 'pod0' };
  recordPod(agent.runDir, { name: 'client', netns: lab.client, addresses, ...where });
  await agent.start('0s', { mode: 'ipvs' });
  await until('IPVS serves', async () => (await ask('default/client', 'ns/far')).pending === 0);
}, 180_000);

afterAll(async () => {
  await agent.remove();
  await lab.remove();
});

function writeService(name: string, n: number, at: 'remote' | undefined, port: number): void {
  const service = loadBalancer(name, IPV4, n, { nodePort: 0, ips: [IPV4.lb(n)] });
  agent.writeObject(name, { apiVersion: 'v1', kind: 'Service', ...service });
  const slice = sliceOf(name, at === undefined ? [] : endpointsOf(IPV4, at));
  const ports = [{ name: 'http', protocol: 'TCP', port }];
  const kind = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
  agent.writeObject(`${name}-slice`, { ...kind, ...slice, ports });
}

async function ask(from: string, to: string, isLive = false): Promise<ExplainAnswer> {
  const request = {
    command: 'explain',
    packet: { from, to, port: 'http', protocol: 'tcp' },
    ...(isLive ? { liveTimeoutMs: 10_000, content: 'empty' } : {}),
  };
  // The agent answers a request of this command with this shape.
  return (await askAgent(agent.runDir, request)) as ExplainAnswer;
}

interface Case {
  readonly to: string;
  readonly outcome: Outcome;
  readonly says: RegExp;
  readonly cause?: CauseId;
}

const CASES: readonly Case[] = [
  {
    to: 'ns/far',
    outcome: 'allowed',
    says: /ipvs tcp 172\.30\.0\.2:80 -> one of 10\.2\.0\.2:8080 \(weight 1, \d+ active\)\n.*sent on to 10\.2\.0\.2 port 8080/s,
  },
  {
    to: 'ns/dead',
    outcome: 'refused',
    cause: 'not-listening',
    says: /10\.2\.0\.2:9999 answers RST/,
  },
  { to: 'ns/none', outcome: 'refused', says: /no virtual server with destinations/ },
];

describe.each(['default/client', 'node/node-a'])('from %s', (from) => {
  test.each(CASES)('$to is $outcome', async ({ to, outcome, says, cause }) => {
    const seen = await ask(from, to, true);
    const text = explainText(seen);
    expect([seen.outcome, text]).toEqual([outcome, expect.stringMatching(says)]);
    expect(text).toContain('That is what the model says.');
    expect(text).toContain('this kernel has no nf_tables');
    expect(seen.live?.causes[0]?.id).toBe(cause);
  });
});
