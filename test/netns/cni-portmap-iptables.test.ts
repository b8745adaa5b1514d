/** Host ports as rules of iptables, with the reference's portmap beside ours. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CniTestNode } from '../support/cni-node.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { probe, startServer } from '../support/workloads.ts';

const reference = ['/usr/lib/cni/portmap'];

let node: CniTestNode;
let client: TestNetns;
beforeEach(() => {
  node = new CniTestNode();
  client = createNetns('out');
  const addresses = ['203.0.113.1/24'];
  const outside = { netns: client, link: 'up0', addresses: ['203.0.113.9/24'] };
  connect({ netns: node.host, link: 'up0', addresses }, outside);
});
afterEach(() => {
  client.remove();
  node.remove();
});

const mapping = (hostPort: number, change: object = {}) => {
  return { hostPort, containerPort: 8080, protocol: 'tcp', ...change };
};
const bridge = () => ({
  cniVersion: '1.0.0',
  name: 'net',
  type: 'bridge',
  bridge: 'br7',
  isDefaultGateway: true,
  hairpinMode: true,
  ipam: {
    type: 'host-local',
    dataDir: node.dataDir,
    ranges: [[{ subnet: '10.22.0.0/24' }], [{ subnet: 'fd22::/64' }]],
  },
});
/** The second plugin of the list. */
const portmap = (keys: object, portMappings: object[], prevResult: object) => ({
  cniVersion: '1.0.0',
  name: 'net',
  type: 'portmap',
  ...keys,
  runtimeConfig: { portMappings },
  prevResult,
});
/** Rules as they are listed, whatever order their parts have. */
const rules = (program = 'iptables') => {
  const lines = node.host.run(`${program}-save`, '-t', 'nat').match(/^-A .*$/gm) ?? [];
  return lines.map((line) => line.replaceAll('--destination-ports', '--dports')).sort();
};

describe('the rules are those of the reference', () => {
  const many = Array.from({ length: 20 }, (_, n) => mapping(9000 + n));
  test.each<[string, object, object[]]>([
    ['backend iptables', { backend: 'iptables' }, [mapping(80), mapping(53, { protocol: 'udp' })]],
    ['externalSetMarkChain', { externalSetMarkChain: 'KUBE-MARK-MASQ' }, [mapping(80)]],
    ['markMasqBit', { backend: 'iptables', markMasqBit: 5 }, [mapping(80)]],
    ['snat: false', { backend: 'iptables', snat: false }, [mapping(80)]],
    [
      'conditions',
      { conditionsV4: ['!', '-s', '192.0.2.0/24'], conditionsV6: ['!', '-d', '2001:db8::/32'] },
      [mapping(80)],
    ],
    ['more ports than one rule takes', { backend: 'iptables' }, many],
  ])('%s', (_name, keys, mappings) => {
    const pod = node.pod();
    for (const program of ['iptables', 'ip6tables']) {
      node.host.run(program, '-t', 'nat', '-N', 'KUBE-MARK-MASQ');
    }
    const stdin = portmap(
      keys,
      mappings,
      node.result({ command: 'ADD', netns: pod, stdin: bridge() }),
    );
    const call = { netns: pod, stdin };
    node.result({ command: 'ADD', ...call });
    node.result({ command: 'ADD', ...call });
    const ours = [rules(), rules('ip6tables')];
    node.result({ command: 'CHECK', ...call });
    node.result({ command: 'DEL', ...call });
    const left = rules();
    node.result({ command: 'ADD', ...call, plugin: reference });
    expect(ours).toEqual([rules(), rules('ip6tables')]);
    // Either removes what the other made.
    node.result({ command: 'DEL', ...call });
    expect(rules()).toEqual(left);
    expect(left.join('\n')).not.toContain('CNI-DN-');
  });
});

test('traffic: conditions decide who gets through, 127.0.0.1 and the pod itself do', async () => {
  const pod = node.pod();
  const prevResult = node.result({ command: 'ADD', netns: pod, stdin: bridge() });
  const refused = {
    conditionsV4: ['-m', 'comment', '--comment', 'a "b" \\ -j c', '!', '-s', '203.0.113.0/24'],
  };
  const stdin = portmap(refused, [mapping(80)], prevResult);
  node.result({ command: 'ADD', netns: pod, stdin });
  const server = await startServer(pod.path, 'pod', 8080);
  const answers = async (from: string, host: string) => {
    const { servers, errors } = await probe(from, { host, port: 80, timeoutMs: 1000 });
    return [...Object.keys(servers), ...Object.keys(errors)].join(' ');
  };
  try {
    expect(await answers(client.path, '203.0.113.1')).toBe('ECONNREFUSED');
    expect(await answers(node.host.path, '127.0.0.1')).toBe('pod');
    expect(await answers(pod.path, '10.22.0.1')).toBe('pod');
    expect(rules().join('\n')).toContain('--comment "a \\"b\\" \\\\ -j c"');
    expect(node.host.run('nft', 'list', 'tables')).toContain('weft-hostports');
    node.result({
      command: 'DEL',
      stdin: { ...stdin, runtimeConfig: undefined, backend: undefined },
    });
    expect(rules().join('\n')).not.toContain('CNI-DN-');
  } finally {
    await server.end();
  }
});

test('addresses of the node: each port in the family it is for', () => {
  const pod = node.pod();
  const prevResult = node.result({ command: 'ADD', netns: pod, stdin: bridge() });
  const mappings = [mapping(80, { hostIP: '203.0.113.1' }), mapping(81, { hostIP: '::' })];
  const stdin = portmap({ backend: 'iptables', masqAll: true }, mappings, prevResult);
  node.result({ command: 'ADD', netns: pod, stdin });
  node.result({ command: 'CHECK', netns: pod, stdin });
  const own = (program?: string) => rules(program).filter((line) => line.includes('dport'));
  expect(own().map((line) => line.replace(/CNI-DN-\w+/, 'CHAIN'))).toEqual([
    '-A CHAIN -d 203.0.113.1/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK',
    '-A CHAIN -d 203.0.113.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.22.0.2:8080',
    expect.stringMatching(/ -m multiport --dports 80 -j CHAIN$/),
  ]);
  expect(own('ip6tables').join('\n')).toContain(
    '--dport 81 -j DNAT --to-destination [fd22::2]:8080',
  );
  expect(own('ip6tables')).toHaveLength(3);
});

test('what cannot be done fails, says so and leaves nothing', () => {
  const pod = node.pod();
  const prevResult = node.result({ command: 'ADD', netns: pod, stdin: bridge() });
  const stdin = portmap({ externalSetMarkChain: 'NONE-SUCH' }, [mapping(80)], prevResult);
  const { status, stdout } = node.call({ command: 'ADD', netns: pod, stdin });
  expect(status).toBe(1);
  expect(JSON.parse(stdout).msg).toContain('NONE-SUCH');
  expect(rules().join('\n')).not.toContain('CNI-DN-');
  const free = portmap({}, [mapping(80)], prevResult);
  node.result({ command: 'ADD', id: 'pod-2', netns: pod, stdin: free });
});
