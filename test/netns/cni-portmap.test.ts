/** Host ports with real traffic: who gets through, and whose address the pod sees. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { TestNetns } from '../support/netns.ts';
import { type LabPod, PortmapLab, tcp } from '../support/portmap-lab.ts';
import { probe, type RunningProgram, startServer } from '../support/workloads.ts';

let lab: PortmapLab;

/** `<server> <peer address it saw>`, or the error. */
async function ask(
  from: TestNetns,
  host: string,
  port: number,
  protocol: 'tcp' | 'udp' = 'tcp',
): Promise<string> {
  const target = { protocol, host, port, timeoutMs: 700 } as const;
  const { servers, peers, errors } = await probe(from.path, target);
  return [...Object.keys(servers), ...Object.keys(peers), ...Object.keys(errors)].join(' ');
}

describe('traffic', () => {
  let [a, b, neighbour]: LabPod[] = [];
  const servers: RunningProgram[] = [];
  beforeAll(async () => {
    lab = new PortmapLab();
    [a, b, neighbour] = [lab.pod(2), lab.pod(3), lab.pod(4)];
    lab.client.run('ip', 'route', 'add', '10.22.0.0/24', 'via', '203.0.113.1');
    lab.add(a, {
      portMappings: [
        tcp(8080),
        tcp(8080, { protocol: 'UDP' }),
        tcp(9000, { hostIP: '203.0.113.1' }),
        tcp(9000, { hostIP: '2001:db8:113::1' }),
        tcp(9001, { hostIP: '127.0.0.1' }),
        tcp(9002, { hostIP: '0.0.0.0' }),
        tcp(9003, { hostIP: '::' }),
      ],
    });
    lab.add(b, { portMappings: [tcp(8081)] });
    servers.push(
      await startServer(a.netns.path, 'a', 8080),
      await startServer(b.netns.path, 'b', 8080),
      await startServer(lab.host.path, 'host', 7000),
      await startServer(lab.client.path, 'client', 8080),
      await startServer(lab.host.path, 'host', 8080),
    );
  });
  afterAll(async () => {
    for (const server of servers) await server.end();
    lab.remove();
  });

  const place = (name: string): TestNetns => {
    const places: Record<string, TestNetns | undefined> = {
      node: lab.host,
      outside: lab.client,
      itself: a?.netns,
      neighbour: neighbour?.netns,
    };
    return places[name] ?? lab.host;
  };

  test.each([
    { from: 'outside', host: '203.0.113.1', port: 8080, want: 'a 203.0.113.9' },
    { from: 'outside', host: '203.0.113.1', port: 8080, udp: true, want: 'a 203.0.113.9' },
    { from: 'outside', host: '2001:db8:113::1', port: 8080, want: 'a 2001:db8:113::9' },
    { from: 'outside', host: '2001:db8:113::1', port: 8080, udp: true, want: 'a 2001:db8:113::9' },
    { from: 'outside', host: '203.0.113.1', port: 8081, want: 'b 203.0.113.9' },
    { from: 'node', host: '203.0.113.1', port: 8080, want: 'a 203.0.113.1' },
    { from: 'node', host: '127.0.0.1', port: 8080, want: 'a 10.22.0.1' },
    { from: 'node', host: '127.0.0.1', port: 8080, udp: true, want: 'a 10.22.0.1' },
    { from: 'node', host: '10.22.0.1', port: 8080, want: 'a 10.22.0.1' },
    { from: 'node', host: '2001:db8:113::1', port: 8080, want: 'a 2001:db8:113::1' },
    { from: 'itself', host: '203.0.113.1', port: 8080, want: 'a 10.22.0.1' },
    { from: 'itself', host: '203.0.113.1', port: 8080, udp: true, want: 'a 10.22.0.1' },
    { from: 'itself', host: '2001:db8:113::1', port: 8080, want: 'a fd00:22::1' },
    { from: 'neighbour', host: '10.22.0.1', port: 8080, want: 'a 10.22.0.1' },
    { from: 'neighbour', host: '203.0.113.1', port: 8080, want: 'a 10.22.0.1' },
    { from: 'neighbour', host: '2001:db8:113::1', port: 8080, want: 'a fd00:22::1' },
    { from: 'outside', host: '203.0.113.1', port: 9000, want: 'a 203.0.113.9' },
    { from: 'outside', host: '2001:db8:113::1', port: 9000, want: 'a 2001:db8:113::9' },
    { from: 'neighbour', host: '10.22.0.1', port: 9000, want: 'ECONNREFUSED' },
    { from: 'node', host: '127.0.0.1', port: 9001, want: 'a 10.22.0.1' },
    { from: 'outside', host: '203.0.113.1', port: 9001, want: 'ECONNREFUSED' },
    { from: 'outside', host: '203.0.113.1', port: 9002, want: 'a 203.0.113.9' },
    { from: 'outside', host: '2001:db8:113::1', port: 9002, want: 'ECONNREFUSED' },
    { from: 'outside', host: '203.0.113.1', port: 9003, want: 'ECONNREFUSED' },
    { from: 'outside', host: '2001:db8:113::1', port: 9003, want: 'a 2001:db8:113::9' },
    // Nothing but what is for the node is taken.
    { from: 'neighbour', host: '203.0.113.9', port: 8080, want: 'client 10.22.0.4' },
    { from: 'node', host: '203.0.113.9', port: 8080, want: 'client 203.0.113.1' },
    { from: 'neighbour', host: '10.22.0.2', port: 8080, want: 'a 10.22.0.4' },
    { from: 'node', host: '203.0.113.1', port: 7000, want: 'host 203.0.113.1' },
    // A listener of the node on ::1 keeps its port, as nothing can be led there.
    { from: 'node', host: '::1', port: 8080, want: 'host ::1' },
  ])(
    '[124, 126, 141] $from to $host $port ($udp): $want',
    async ({ from, host, port, udp, want }) => {
      expect(await ask(place(from), host, port, udp === true ? 'udp' : 'tcp')).toBe(want);
    },
  );

  test('with bridged packets not filtered, pod to its own port and to a neighbour still works', async () => {
    const keys = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'];
    const set = (value: number) =>
      lab.host.attempt('sysctl', ['-qw', ...keys.map((key) => `${key}=${value}`)]);
    set(0);
    try {
      expect({
        itself: await ask(place('itself'), '203.0.113.1', 8080),
        neighbour: await ask(place('neighbour'), '203.0.113.1', 8080),
        neighbour6: await ask(place('neighbour'), '2001:db8:113::1', 8080),
      }).toEqual({ itself: 'a 10.22.0.1', neighbour: 'a 10.22.0.1', neighbour6: 'a fd00:22::1' });
    } finally {
      set(1);
    }
  });

  test('[141] strict reverse path filters do not mind', async () => {
    const keys = ['all', 'br0', 'up0'].map((name) => `net.ipv4.conf.${name}.rp_filter=1`);
    lab.host.run('sysctl', '-qw', ...keys);
    expect({
      outside: await ask(lab.client, '203.0.113.1', 8080),
      node: await ask(lab.host, '127.0.0.1', 8080),
      itself: await ask(place('itself'), '203.0.113.1', 8080),
    }).toEqual({ outside: 'a 203.0.113.9', node: 'a 10.22.0.1', itself: 'a 10.22.0.1' });
  });

  test('clients of a Service of the same pod and port keep their address', async () => {
    lab.host.run('nft', 'add table ip svc');
    lab.host.run('nft', 'add chain ip svc pre { type nat hook prerouting priority -100; }');
    lab.host.run(
      'nft',
      'add rule ip svc pre ip daddr 172.30.0.1 tcp dport 8080 dnat to 10.22.0.2:8080',
    );
    try {
      expect({
        service: await ask(place('neighbour'), '172.30.0.1', 8080),
        hostPort: await ask(place('neighbour'), '10.22.0.1', 8080),
      }).toEqual({ service: 'a 10.22.0.4', hostPort: 'a 10.22.0.1' });
    } finally {
      lab.host.run('nft', 'delete table ip svc');
    }
  });

  test('a pod does not reach what listens on 127.0.0.1 of the node', async () => {
    const pod = neighbour?.netns;
    if (pod === undefined) throw new Error('no pod');
    pod.run('ip', 'route', 'add', '127.0.0.2/32', 'via', '10.22.0.1', 'dev', 'eth0');
    pod.run('ip', 'addr', 'del', '127.0.0.1/8', 'dev', 'lo');
    pod.run('sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
    expect(await ask(pod, '127.0.0.2', 7000)).toBe('TIMEOUT');
    lab.host.run('nft', 'flush', 'chain', 'inet', 'weft-hostports', 'loopback-guard');
    expect(await ask(pod, '127.0.0.2', 7000)).toBe('host 10.22.0.4');
  });

  test('after DEL the port is closed, and the other pod is unaffected', async () => {
    if (a === undefined) throw new Error('no pod');
    lab.del(a);
    expect(await ask(lab.client, '203.0.113.1', 9000)).toBe('ECONNREFUSED');
    expect(await ask(lab.client, '203.0.113.1', 8081)).toBe('b 203.0.113.9');
  });
});

describe('who is masqueraded', () => {
  beforeEach(() => {
    lab = new PortmapLab();
  });
  afterEach(() => lab.remove());

  test.each([
    { config: {}, outside: 'a 203.0.113.9', node: 'a 10.22.0.1' },
    { config: { masqAll: true }, outside: 'a 10.22.0.1', node: 'a 10.22.0.1' },
    { config: { snat: false }, outside: 'a 203.0.113.9', node: 'TIMEOUT' },
  ])('$config', async ({ config, outside, node }) => {
    const pod = lab.pod(2);
    lab.add(pod, { portMappings: [tcp(8080)], config });
    const server = await startServer(pod.netns.path, 'a', 8080);
    try {
      expect(await ask(lab.client, '203.0.113.1', 8080)).toBe(outside);
      expect(await ask(lab.host, '127.0.0.1', 8080)).toBe(node);
    } finally {
      await server.end();
    }
  });

  test.each(['before', 'after'])(
    'the host port yields to a NodePort registered %s',
    async (when) => {
      const [a, b] = [lab.pod(2), lab.pod(3)];
      const nodePort = () => {
        lab.host.run('nft', 'add table ip svc');
        lab.host.run('nft', 'add chain ip svc pre { type nat hook prerouting priority -100; }');
        const dnat = ['dnat', 'to', '10.22.0.3:8080'];
        lab.host.run('nft', 'add', 'rule', 'ip', 'svc', 'pre', 'tcp', 'dport', '8080', ...dnat);
      };
      if (when === 'before') nodePort();
      lab.add(a, { portMappings: [tcp(8080)] });
      if (when === 'after') nodePort();
      const servers = [
        await startServer(a.netns.path, 'a', 8080),
        await startServer(b.netns.path, 'b', 8080),
      ];
      try {
        expect(await ask(lab.client, '203.0.113.1', 8080)).toBe('b 203.0.113.9');
        lab.host.run('nft', 'delete table ip svc');
        expect(await ask(lab.client, '203.0.113.1', 8080)).toBe('a 203.0.113.9');
      } finally {
        for (const server of servers) await server.end();
      }
    },
  );
});
