/** What only the iptables mode has: NodePorts on the loopback, and who was where, in xt_recent. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Service } from '../../src/kube/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import type { IptablesMode } from '../../src/proxy/modes/iptables/mode.ts';
import { readPacketCounts } from '../../src/proxy/modes/iptables/packet-counts.ts';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { endpointsOf, sliceOf, webPort } from '../support/flows/objects.ts';
import { openIptablesLab, programPorts, VARIANTS } from '../support/iptables-lab.ts';
import { resolveAll } from '../support/iptables-objects.ts';
import type { TestNetns } from '../support/netns.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service } from '../support/proxy-objects.ts';
import { probe, total } from '../support/workloads.ts';

const PORT = 30001;
const REMOTE_LOOPBACK = '127.0.0.99';

let lab: ProxyLab;
const closing: (() => void)[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(async () => {
  for (const close of closing) close();
  await lab.remove();
});

/** Has a host send packets for one loopback address to the node. Gives what undoes it. */
function routeLoopback(host: TestNetns): () => void {
  const ip = (...args: readonly string[]) => host.run('ip', ...args);
  ip('route', 'add', REMOTE_LOOPBACK, 'via', '203.0.113.1');
  host.run('sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
  ip('rule', 'add', 'pref', '1', 'lookup', 'local');
  ip('rule', 'del', 'pref', '0', 'lookup', 'local');
  ip('rule', 'add', 'pref', '0', 'to', REMOTE_LOOPBACK, 'lookup', 'main');
  return () => {
    ip('rule', 'add', 'pref', '0', 'lookup', 'local');
    ip('rule', 'del', 'pref', '0', 'to', REMOTE_LOOPBACK, 'lookup', 'main');
    ip('rule', 'del', 'pref', '1', 'lookup', 'local');
    ip('route', 'del', REMOTE_LOOPBACK);
  };
}

describe.each(VARIANTS)('iptables-%s', (variant) => {
  const open = async (localhostNodePorts: boolean) => {
    const mode = await openIptablesLab(lab.node, variant, { localhostNodePorts });
    closing.push(mode.close);
    return mode;
  };

  /** A session for one Service, and what gives it the endpoints on these servers. */
  const start = async (mode: IptablesMode, net: Net, spec: Partial<Service['spec']>) => {
    const services = [service('web', net.vip(1), { ...webPort(PORT), ...spec })];
    const settings = {
      layout: {
        family: net.family,
        acceptsOnAllAddresses: true,
        localDetector: { kind: 'cidrs', cidrs: [parseCidr(net.clusterCIDR)] },
        masqueradesAll: false,
        serviceCIDRs: [],
      },
      nodePortIPs: [],
    } as const;
    const session = mode.openSession(settings);
    const programServers = (servers: readonly ('a' | 'b' | 'remote')[]) => {
      const slices = servers.length === 0 ? [] : [sliceOf('web', endpointsOf(net, ...servers))];
      return programPorts(session, resolveAll(net.family, services, slices), settings);
    };
    return { session, programServers };
  };

  const program = async (
    mode: IptablesMode,
    net: Net,
    spec: Partial<Service['spec']>,
    servers: readonly ('a' | 'b' | 'remote')[],
  ) => (await start(mode, net, spec)).programServers(servers);

  const visit = async (
    from: 'client' | 'node' | 'outside',
    host: string,
    port: number,
    count = 24,
  ) => {
    const { servers, errors } = await probe(lab[from].path, {
      ...{ host, port, count },
      timeoutMs: 1_000,
    });
    return [...Object.keys(servers).sort(), ...Object.keys(errors)];
  };

  afterAll(() => {
    for (const program of ['iptables', 'ip6tables']) {
      for (const table of ['nat', 'filter', 'mangle']) {
        lab.node.run(`${program}-${variant}`, '-t', table, '-F');
        lab.node.run(`${program}-${variant}`, '-t', table, '-X');
      }
    }
  });

  test.each([
    ['policy Cluster', {}, ['a', 'remote']],
    ['policy Local', { type: 'NodePort', externalTrafficPolicy: 'Local' }, ['a', 'remote']],
  ] as const)('loopback NodePorts answer with %s', async (_, spec, want) => {
    await program(await open(true), IPV4, spec, ['a', 'remote']);
    expect(await visit('node', '127.0.0.1', PORT)).toEqual(want);
  });

  test('a neighbour that sends to the loopback of the node is not heard (CVE-2020-8558)', async () => {
    await program(await open(true), IPV4, {}, ['a']);
    const undo = routeLoopback(lab.outside);
    try {
      expect(await visit('outside', REMOTE_LOOPBACK, 12_345, 2)).toEqual(['TIMEOUT']);
      lab.node.run(`iptables-${variant}`, '-F', 'KUBE-FIREWALL');
      expect(await visit('outside', REMOTE_LOOPBACK, 12_345, 2)).toEqual(['ECONNREFUSED']);
    } finally {
      undo();
    }
  });

  test('connections to loopback NodePorts and invalid packets are counted', async () => {
    const mode = await open(true);
    const rules = mode.rules.get(4);
    if (rules === undefined) throw new Error('no rules of IPv4');
    const { session, programServers } = await start(mode, IPV4, {});
    await programServers(['a', 'remote']);
    const before = await readPacketCounts(rules.programs);
    await visit('node', IPV4.vip(1), 80, 2);
    await visit('client', IPV4.node, PORT, 2);
    expect(await readPacketCounts(rules.programs)).toEqual(before);
    await visit('node', '127.0.0.1', PORT, 3);
    const counters = '-R KUBE-FORWARD 1 -m conntrack --ctstate INVALID -c 7 420 -j DROP';
    lab.node.run(`iptables-${variant}`, ...counters.split(' '));
    expect(await readPacketCounts(rules.programs)).toEqual({
      droppedInvalid: 7,
      loopbackNodePorts: before.loopbackNodePorts + 3,
    });
    await programServers(['b']);
    const { total, last } = rules.counts;
    const listed = lab.node.run(`iptables-${variant}-save`, '-t', 'nat').split('\n');
    expect(total.nat).toBe(listed.filter((line) => line.startsWith('-A KUBE-')).length);
    expect(last).toMatchObject({ filter: 0, mangle: 0 });
    expect([last.nat > 0, last.nat < total.nat]).toEqual([true, true]);
    session.close();
  });

  test('loopback NodePorts are refused without endpoints', async () => {
    await program(await open(true), IPV4, {}, []);
    expect(await visit('node', '127.0.0.1', PORT)).toEqual(['ECONNREFUSED']);
  });

  test('the loopback is that of the node where NodePorts are not wanted on it', async () => {
    await program(await open(false), IPV4, {}, ['a']);
    expect(await visit('node', IPV4.node, PORT)).toEqual(['a']);
    expect(await visit('node', '127.0.0.1', PORT)).toEqual(['ECONNREFUSED']);
  });

  test.each([IPV4, IPV6])('IPv$family: none fails while endpoints come and go', async (net) => {
    const all = ['a', 'b', 'remote'] as const;
    const { session, programServers } = await start(await open(false), net, {});
    await programServers(all);
    const probing = probe(lab.client.path, { host: net.vip(1), port: 80, count: 1_000 });
    let isDone = false;
    const done = probing.finally(() => {
      isDone = true;
    });
    let round = 0;
    for (; !isDone && round < 500; round += 1) {
      await programServers(all.filter((_, i) => i !== round % 4));
      await session.removeIdle(round * 6_000, (chain, error) => {
        throw new Error(chain, { cause: error });
      });
    }
    const { servers, errors } = await done;
    expect([total(servers), errors]).toEqual([1_000, {}]);
    expect(round).toBeGreaterThan(3);
  });

  describe.each([IPV4, IPV6])('session affinity, IPv$family', (net) => {
    const spec = {
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
    } as const;

    test('keeps a client at one endpoint, by every address of the Service', async () => {
      const mode = await open(false);
      await program(mode, net, spec, ['a', 'b', 'remote']);
      const [first = '', ...others] = await visit('client', net.vip(1), 80);
      expect(others).toEqual([]);
      expect(await visit('client', net.node, PORT)).toEqual([first]);
      const left = (['a', 'b', 'remote'] as const).filter((server) => server !== first);
      await program(mode, net, spec, left);
      const [second = '', ...more] = await visit('client', net.vip(1), 80);
      expect(more).toEqual([]);
      expect(left).toContain(second);
    });
  });
});
