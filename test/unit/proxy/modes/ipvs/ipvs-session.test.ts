import { beforeEach, describe, expect, test } from 'vitest';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { isIpvsChain } from '../../../../../src/proxy/modes/ipvs/chain-names.ts';
import type {
  IpvsSession,
  IpvsSessionOptions,
} from '../../../../../src/proxy/modes/ipvs/ipvs-session.ts';
import { KnownState } from '../../../../../src/proxy/modes/ipvs/known.ts';
import type { SessionSettings } from '../../../../../src/proxy/session.ts';
import type { ResolvedPort } from '../../../../../src/proxy/state.ts';
import { FakeIpvsKernel } from '../../../../support/fake-ipvs.ts';
import { clusterOf, listedSettings, openIpvsSession } from '../../../../support/ipvs-session.ts';

type Services = ReadonlyMap<string, readonly ResolvedPort[]>;

const SETTINGS = listedSettings(4, '192.168.0.1');
const NODE_PORT = {
  type: 'NodePort',
  ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }],
} as const;

let kernel: FakeIpvsKernel;
let session: IpvsSession;
let nowMs: number;

beforeEach(() => {
  kernel = new FakeIpvsKernel();
  kernel.otherIPs = [parseIP('192.168.0.1')];
  session = openIpvsSession(kernel);
  nowMs = 0;
});

async function program(
  services: Services,
  keys: Iterable<string> = services.keys(),
  settings: SessionSettings = SETTINGS,
): Promise<void> {
  const groups = Array.from(keys, (key) => [key]);
  await session.program(settings, groups, (key) => services.get(key) ?? []);
}

/** As a new agent does. */
function restart(options: Partial<IpvsSessionOptions> = {}): void {
  session.close();
  session = openIpvsSession(kernel, options);
}

/** Looks at what drains, as long after the last look as it takes. */
async function look(): Promise<void> {
  nowMs += 2_000;
  await session.removeIdle(nowMs, () => {});
}

/** Twice: the first look begins to wait. */
async function drain(): Promise<void> {
  await look();
  await look();
}

describe('an endpoint that the kernel refuses', () => {
  test('is told and left out, and the others serve', async () => {
    const told: string[] = [];
    kernel.refusedAddresses = [parseIP('10.1.0.255')];
    restart({ onRefusedDestination: (...refused) => told.push(refused.join(' -> ')) });
    await program(clusterOf({ web: ['10.1.0.3', '10.1.0.255'], other: ['10.1.0.4'] }));
    expect(kernel.serverTexts()).toEqual([
      'TCP 172.30.0.1:80 rr: 10.1.0.3 8080=1',
      'TCP 172.30.0.2:80 rr: 10.1.0.4 8080=1',
    ]);
    expect(told).toEqual(['TCP 172.30.0.1:80 -> 10.1.0.255 8080']);
    await program(clusterOf({ web: ['10.1.0.3'], other: [] }));
    await drain();
    expect(kernel.serverTexts()).toEqual(['TCP 172.30.0.1:80 rr: 10.1.0.3 8080=1']);
  });
});

describe('a first run', () => {
  test('serves before packets come', async () => {
    await program(clusterOf({ web: ['10.1.0.3', '10.1.0.4'] }));
    expect(kernel.takeDone()).toEqual([
      '+set server 172.30.0.1,tcp:80',
      '+set address 172.30.0.1',
      '+set clusterIP 172.30.0.1,tcp:80',
      'addServer TCP 172.30.0.1:80',
      'addDestination TCP 172.30.0.1:80 10.1.0.3 8080=1',
      'addDestination TCP 172.30.0.1:80 10.1.0.4 8080=1',
      '+ip 172.30.0.1',
    ]);
  });

  test('has one virtual server for each place where clients come', async () => {
    kernel.otherIPs = ['192.168.0.1', '192.168.0.9', 'fe80::1'].map(parseIP);
    const settings = listedSettings(4, '192.168.0.9', '192.168.0.1');
    await program(clusterOf({ web: ['10.1.0.3'] }, NODE_PORT), undefined, settings);
    expect(kernel.serverTexts()).toEqual([
      'TCP 172.30.0.1:80 rr: 10.1.0.3 8080=1',
      'TCP 192.168.0.1:30080 rr: 10.1.0.3 8080=1',
      'TCP 192.168.0.9:30080 rr: 10.1.0.3 8080=1',
    ]);
    expect([...kernel.held]).toEqual(['172.30.0.1']);
  });

  test('answers on all addresses of the node where none are listed', async () => {
    kernel.otherIPs = ['192.168.0.1', '203.0.113.1'].map(parseIP);
    const layout = { ...SETTINGS.layout, acceptsOnAllAddresses: true };
    const services = clusterOf({ web: ['10.1.0.3'] }, NODE_PORT);
    await program(services, undefined, { layout, nodePortIPs: [] });
    const nodePorts = () => kernel.serverTexts().filter((text) => text.includes(':30080'));
    expect(nodePorts()).toHaveLength(2);
    kernel.otherIPs = ['203.0.113.1'].map(parseIP);
    await program(services, [], { layout, nodePortIPs: [] });
    await drain();
    expect(nodePorts()).toEqual(['TCP 203.0.113.1:30080 rr: 10.1.0.3 8080=1']);
  });

  test('refuses where nobody serves', async () => {
    await program(clusterOf({ empty: [] }));
    expect([kernel.serverTexts(), [...kernel.held]]).toEqual([[], ['172.30.0.1']]);
    expect([...kernel.entries.keys()]).toEqual([
      'address 172.30.0.1',
      'clusterIP 172.30.0.1,tcp:80',
      'refused 172.30.0.1,tcp:80',
    ]);
  });
});

describe('later runs', () => {
  test('send what differs', async () => {
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`s${i}`, ['10.1.0.3']]));
    await program(clusterOf(many));
    kernel.takeDone();
    await program(clusterOf({ ...many, s7: ['10.1.0.3', '10.1.0.4'] }), ['ns/s7']);
    expect(kernel.takeDone()).toEqual(['addDestination TCP 172.30.0.8:80 10.1.0.4 8080=1']);
    await program(clusterOf(many), ['ns/s8']);
    expect([kernel.takeDone(), kernel.rules.takeNames().length > 0]).toEqual([[], true]);
    await program(clusterOf(many), []);
    expect([kernel.takeDone(), kernel.rules.takeNames()]).toEqual([[], []]);
  });

  test('change the rules with the settings', async () => {
    await program(clusterOf({ web: ['10.1.0.3'] }));
    kernel.rules.takeNames();
    const layout = { ...SETTINGS.layout, masqueradesAll: true };
    await program(clusterOf({ web: ['10.1.0.3'] }), [], { ...SETTINGS, layout });
    expect(kernel.rules.takeNames()).toEqual(['nat KUBE-SERVICES']);
  });
});

describe('connections', () => {
  const WEB = 'TCP 172.30.0.1:80';

  beforeEach(async () => {
    await program(clusterOf({ web: ['10.1.0.3', '10.1.0.4'] }));
    kernel.connect(WEB, '10.1.0.4 8080', 2);
    kernel.takeDone();
  });

  test('keep a destination that is to go, which gets no more', async () => {
    await program(clusterOf({ web: ['10.1.0.3'] }));
    expect(kernel.takeDone()).toEqual([`setDestination ${WEB} 10.1.0.4 8080=0`]);
    await drain();
    expect(kernel.takeDone()).toEqual([]);
    kernel.connect(WEB, '10.1.0.4 8080', 0);
    await look();
    expect(kernel.takeDone()).toEqual([`deleteDestination ${WEB} 10.1.0.4 8080`]);
    await look();
    expect(kernel.takeDone()).toEqual([]);
  });

  test('that are on their way are waited for', async () => {
    kernel.connect(WEB, '10.1.0.4 8080', 0);
    await program(clusterOf({ web: ['10.1.0.3'] }));
    kernel.takeDone();
    await look();
    expect(kernel.takeDone()).toEqual([]);
    await look();
    expect(kernel.takeDone()).toEqual([`deleteDestination ${WEB} 10.1.0.4 8080`]);
  });

  test('are kept by the agent that comes after', async () => {
    await program(clusterOf({ web: ['10.1.0.3'] }));
    kernel.takeDone();
    restart();
    await program(clusterOf({ web: ['10.1.0.3'] }));
    await drain();
    expect(kernel.takeDone()).toEqual([]);
    kernel.connect(WEB, '10.1.0.4 8080', 0);
    await drain();
    expect(kernel.takeDone()).toEqual([`deleteDestination ${WEB} 10.1.0.4 8080`]);
  });

  test('a destination that comes back gets its weight', async () => {
    await program(clusterOf({ web: ['10.1.0.3'] }));
    restart();
    kernel.takeDone();
    await program(clusterOf({ web: ['10.1.0.3', '10.1.0.4'] }));
    await drain();
    expect(kernel.takeDone()).toEqual([`setDestination ${WEB} 10.1.0.4 8080=1`]);
  });

  test('keep a virtual server that is to go, with its address and record', async () => {
    await program(clusterOf({}), ['ns/web']);
    expect(kernel.takeDone()).toEqual([
      `setDestination ${WEB} 10.1.0.3 8080=0`,
      `setDestination ${WEB} 10.1.0.4 8080=0`,
      '-set clusterIP 172.30.0.1,tcp:80',
    ]);
    restart();
    await program(clusterOf({}));
    await drain();
    expect(kernel.takeDone()).toEqual([`deleteDestination ${WEB} 10.1.0.3 8080`]);
    kernel.connect(WEB, '10.1.0.4 8080', 0);
    await look();
    expect(kernel.takeDone()).toEqual([
      `deleteServer ${WEB}`,
      '-ip 172.30.0.1',
      '-set server 172.30.0.1,tcp:80',
      '-set address 172.30.0.1',
    ]);
    expect([kernel.servers.size, kernel.held.size, kernel.entries.size]).toEqual([0, 0, 0]);
  });

  test('keep the address while the last endpoint goes and comes', async () => {
    await program(clusterOf({ web: [] }));
    expect(kernel.takeDone()).toEqual([
      '+set refused 172.30.0.1,tcp:80',
      `setDestination ${WEB} 10.1.0.3 8080=0`,
      `setDestination ${WEB} 10.1.0.4 8080=0`,
    ]);
    await program(clusterOf({ web: ['10.1.0.3'] }));
    expect(kernel.takeDone()).toEqual([
      `setDestination ${WEB} 10.1.0.3 8080=1`,
      '-set refused 172.30.0.1,tcp:80',
    ]);
  });

  test('of datagrams find another destination at once', async () => {
    const udp = { ports: [{ name: 'dns', protocol: 'UDP', port: 53 }] } as const;
    restart();
    await program(clusterOf({ dns: ['10.1.0.3', '10.1.0.4'] }, udp));
    const server = 'UDP 172.30.0.1:53';
    kernel.connect(server, '10.1.0.4 8080', 2);
    kernel.takeDone();
    await program(clusterOf({ dns: ['10.1.0.3'] }, udp));
    expect(kernel.takeDone()).toEqual([`deleteDestination ${server} 10.1.0.4 8080`]);
    kernel.connect(server, '10.1.0.3 8080', 2);
    await program(clusterOf({ dns: [] }, udp));
    expect(kernel.takeDone()).toEqual([
      '+set refused 172.30.0.1,udp:53',
      `deleteServer ${server}`,
      '-set server 172.30.0.1,udp:53',
    ]);
  });
});

describe('what is not ours', () => {
  const foreign = (ip: string, port: number) =>
    kernel.ipvs.apply([
      {
        op: 'addServer',
        server: {
          key: { kind: 'address', ip: parseIP(ip), protocol: 'tcp', port },
          scheduler: 'lc',
          persistenceSeconds: 0,
        },
      },
    ]);

  test('stays: virtual servers at addresses of others', async () => {
    await foreign('192.168.0.1', 8443);
    await foreign('198.51.100.7', 80);
    await program(clusterOf({ web: ['10.1.0.3'] }));
    await drain();
    restart();
    await program(clusterOf({}));
    await drain();
    expect(kernel.serverTexts()).toEqual(['TCP 192.168.0.1:8443 lc: ', 'TCP 198.51.100.7:80 lc: ']);
  });

  test('stays: everything at excluded addresses, the proxy makes nothing there', async () => {
    const excludeCIDRs = ['198.51.100.0/24', '172.30.0.2/32'].map(parseCidr);
    await foreign('198.51.100.7', 80);
    kernel.held.add(parseIP('198.51.100.7'));
    restart({ excludeCIDRs });
    await program(clusterOf({ web: ['10.1.0.3'], other: ['10.1.0.4'] }));
    expect(kernel.serverTexts()).toEqual([
      'TCP 172.30.0.1:80 rr: 10.1.0.3 8080=1',
      'TCP 198.51.100.7:80 lc: ',
    ]);
    expect([...kernel.held]).toEqual(['198.51.100.7', '172.30.0.1']);
  });

  test('becomes ours where a Service is at home', async () => {
    await foreign('172.30.0.1', 80);
    await foreign('172.30.0.2', 80);
    await program(clusterOf({ web: ['10.1.0.3'] }));
    expect(kernel.takeDone()).toContain('setServer TCP 172.30.0.1:80');
    await program(clusterOf({ web: ['10.1.0.3'], later: ['10.1.0.4'] }), ['ns/later']);
    expect(kernel.serverTexts()).toEqual([
      'TCP 172.30.0.1:80 rr: 10.1.0.3 8080=1',
      'TCP 172.30.0.2:80 rr: 10.1.0.4 8080=1',
    ]);
  });

  test("kube-proxy's virtual servers go once they are of no use", async () => {
    await foreign('172.30.0.9', 80);
    await foreign('192.168.0.1', 30099);
    kernel.held.add(parseIP('172.30.0.9'));
    await kernel.sets.add([{ role: 'nodePortTcp', entry: { type: 'bitmap:port', port: 30099 } }]);
    await program(clusterOf({ web: ['10.1.0.3'] }));
    expect(kernel.serverTexts()).toEqual(['TCP 172.30.0.1:80 rr: 10.1.0.3 8080=1']);
    expect([...kernel.held]).toEqual(['172.30.0.1']);
  });

  test('an address that another link has is not put on ours', async () => {
    kernel.otherIPs = ['172.30.0.1'].map(parseIP);
    const services = clusterOf({ web: ['10.1.0.3'] });
    await program(services);
    expect([kernel.held.size, kernel.serverTexts().length]).toEqual([0, 1]);
    kernel.otherIPs = [];
    await program(services, []);
    expect([...kernel.held]).toEqual(['172.30.0.1']);
    kernel.otherIPs = ['172.30.0.1'].map(parseIP);
    await program(services, []);
    expect(kernel.held.size).toBe(0);
  });
});

describe('rules', () => {
  test('come before addresses, and after them where those of another mode serve', async () => {
    const order: string[] = [];
    const spy = (kernel_: FakeIpvsKernel) => {
      const { apply } = kernel_.rules;
      kernel_.rules.apply = async (change) => {
        if ((change.chains ?? []).length > 0) order.push('rules');
        await apply.call(kernel_.rules, change);
      };
      const { add } = kernel_.addresses;
      Object.assign(kernel_.addresses, {
        add: async (ips: Parameters<typeof add>[0]) => {
          order.push('addresses');
          await add(ips);
        },
      });
    };
    spy(kernel);
    await program(clusterOf({ web: ['10.1.0.3'] }));
    kernel = new FakeIpvsKernel();
    spy(kernel);
    kernel.rules.chains.set('nat KUBE-SERVICES', ['-d 172.30.0.1/32 -j KUBE-SVC-AAAAAAAAAAAAAAAA']);
    kernel.rules.chains.set('nat KUBE-SVC-AAAAAAAAAAAAAAAA', []);
    kernel.rules.chains.set('filter KUBE-EXTERNAL-SERVICES', ['-d 172.30.0.1/32 -j REJECT']);
    restart();
    await program(clusterOf({ web: ['10.1.0.3'] }));
    expect(order).toEqual(['rules', 'addresses', 'addresses', 'rules']);
    expect(kernel.rules.chains.get('filter KUBE-EXTERNAL-SERVICES')).toEqual([]);
    await drain();
    expect(kernel.rules.chains.has('nat KUBE-SVC-AAAAAAAAAAAAAAAA')).toBe(false);
  });

  test('do not grow with Services', async () => {
    const count = async (services: number) => {
      kernel = new FakeIpvsKernel();
      restart();
      const names = Array.from({ length: services }, (_, i) => [`s${i}`, ['10.1.0.3']]);
      await program(clusterOf(Object.fromEntries(names)));
      return [...kernel.rules.chains.values()].flat().length;
    };
    expect(await count(1)).toBe(await count(40));
  });

  test('are all known as ours', async () => {
    await program(clusterOf({ web: ['10.1.0.3'] }));
    for (const key of kernel.rules.chains.keys()) {
      const [table, name = ''] = key.split(' ');
      if (table !== 'filter' && table !== 'nat' && table !== 'mangle') throw new Error(key);
      expect([key, isIpvsChain(table, name)]).toEqual([key, true]);
    }
  });
});

describe('a failure', () => {
  test('is healed by a session that reads what is there', async () => {
    await program(clusterOf({ web: ['10.1.0.3'], api: ['10.1.0.4'] }));
    kernel.servers.clear();
    kernel.held.clear();
    await expect(program(clusterOf({ web: ['10.1.0.5'], api: [] }), ['ns/web'])).rejects.toThrow(
      'ESRCH',
    );
    const known = new KnownState();
    restart({ known });
    expect(known.settledVersion).toBeUndefined();
    await program(clusterOf({ web: ['10.1.0.5'], api: [] }));
    expect(known.settledVersion).toBeDefined();
    expect(kernel.serverTexts()).toEqual(['TCP 172.30.0.1:80 rr: 10.1.0.5 8080=1']);
    expect([...kernel.held].sort()).toEqual(['172.30.0.1', '172.30.0.2']);
  });

  test('a scheduler that is missing is told, and another takes its place', async () => {
    kernel.missingSchedulers = ['wrr', 'twos'];
    const told: string[] = [];
    restart({ onMissingScheduler: (scheduler) => told.push(scheduler) });
    const annotations = { 'weft.dev/ipvs-scheduler': 'twos', 'weft.dev/weights': '10.1.0.3=2' };
    const services = clusterOf({ web: ['10.1.0.3', '10.1.0.4'] }, {}, annotations);
    await program(services);
    await program(services);
    expect([told, kernel.serverTexts()]).toEqual([
      ['twos', 'wrr'],
      ['TCP 172.30.0.1:80 rr: 10.1.0.3 8080=2, 10.1.0.4 8080=1'],
    ]);
  });
});

test('a standing comparison finds Services that were programmed otherwise', async () => {
  const services = clusterOf({ a: ['10.1.0.1'], b: ['10.1.0.2'] });
  await program(services);
  const [a = [], b = []] = [services.get('ns/a'), services.get('ns/b')];
  const { audit } = session;
  expect([audit.isAsProgrammed('ns/a', a), audit.isAsProgrammed('ns/b', b)]).toEqual([true, true]);
  const other = clusterOf({ a: ['10.1.0.9'] }).get('ns/a') ?? [];
  expect(audit.isAsProgrammed('ns/a', other)).toBe(false);
  expect(audit.isAsProgrammed('ns/a', [])).toBe(false);
  expect(audit.isAsProgrammed('ns/unknown', a)).toBe(false);
});
