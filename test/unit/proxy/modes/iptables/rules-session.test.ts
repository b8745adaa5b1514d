import { beforeEach, describe, expect, test } from 'vitest';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import type { RulesSession } from '../../../../../src/proxy/modes/iptables/rules-session.ts';
import type { SessionSettings } from '../../../../../src/proxy/session.ts';
import type { ResolvedPort } from '../../../../../src/proxy/state.ts';
import { FakeIptables } from '../../../../support/fake-iptables.ts';
import { openSession } from '../../../../support/iptables-lab.ts';
import { resolveAll } from '../../../../support/iptables-objects.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';

const SETTINGS: SessionSettings = {
  layout: {
    family: 4,
    acceptsOnAllAddresses: true,
    localDetector: { kind: 'cidrs', cidrs: [parseCidr('10.1.0.0/16')] },
    masqueradesAll: false,
    serviceCIDRs: [],
  },
  nodePortIPs: [],
};

let rules: FakeIptables;
let session: RulesSession;

beforeEach(() => {
  rules = new FakeIptables();
  session = openSession(rules);
});

/** Services by name and the addresses behind them. */
function cluster(services: Readonly<Record<string, readonly string[]>>) {
  const names = Object.keys(services);
  return resolveAll(
    4,
    names.map((name, i) => service(name, `172.30.0.${i + 1}`)),
    names.map((name) => slice({ service: name, endpoints: services[name] ?? [] })),
  );
}

async function program(
  services: ReadonlyMap<string, readonly ResolvedPort[]>,
  keys: Iterable<string> = services.keys(),
  settings = SETTINGS,
): Promise<void> {
  const groups = Array.from(keys, (key) => [key]);
  await session.program(settings, groups, (key) => services.get(key) ?? []);
}

/** Kinds and numbers of the chains that were sent: `nat SVC`, `nat SEP 2`. */
function sentKinds(): readonly string[] {
  const kinds = rules.takeNames().map((name) => name.replace(/KUBE-(SVC|SEP)-.*/, '$1'));
  const counts = Map.groupBy(kinds, (kind) => kind);
  return Array.from(counts, ([kind, { length }]) =>
    length > 1 ? `${kind} ${length}` : kind,
  ).sort();
}

/** What a new node holds after one run. */
async function coldContent(services: ReadonlyMap<string, readonly ResolvedPort[]>) {
  const fresh = new FakeIptables();
  const groups = Array.from(services.keys(), (key) => [key]);
  await openSession(fresh).program(SETTINGS, groups, (key) => services.get(key) ?? []);
  return new Map([...fresh.chains].sort());
}

describe('a change sends the chains that differ', () => {
  const before = cluster({ a: ['10.1.0.1', '10.1.0.2'], b: ['10.1.0.3'] });
  beforeEach(async () => {
    await program(before);
    rules.takeNames();
  });

  test.each([
    ['nothing', { a: ['10.1.0.1', '10.1.0.2'], b: ['10.1.0.3'] }, []],
    [
      'an endpoint more',
      { a: ['10.1.0.1', '10.1.0.2', '10.1.0.9'], b: ['10.1.0.3'] },
      ['nat SEP', 'nat SVC'],
    ],
    ['an endpoint less', { a: ['10.1.0.1'], b: ['10.1.0.3'] }, ['nat SVC']],
    [
      'the last endpoint',
      { a: ['10.1.0.1', '10.1.0.2'], b: [] },
      ['filter KUBE-SERVICES', 'nat KUBE-SERVICES'],
    ],
    [
      'a Service more',
      { a: ['10.1.0.1', '10.1.0.2'], b: ['10.1.0.3'], c: ['10.1.0.4', '10.1.0.5'] },
      ['nat KUBE-SERVICES', 'nat SEP 2', 'nat SVC'],
    ],
  ] as const)('%s', async (_, services: Record<string, readonly string[]>, want) => {
    await program(cluster(services));
    expect(sentKinds()).toEqual(want);
  });

  test('a Service less: its rules first, its chains when nobody needs them', async () => {
    await program(cluster({ a: ['10.1.0.1', '10.1.0.2'] }), ['ns/b']);
    expect(sentKinds()).toEqual(['nat KUBE-SERVICES']);
    const failures: string[] = [];
    await session.removeIdle(1_000, (chain) => failures.push(chain));
    await session.removeIdle(5_999, (chain) => failures.push(chain));
    expect(sentKinds()).toEqual([]);
    await session.removeIdle(6_000, (chain) => failures.push(chain));
    expect(sentKinds()).toEqual(['-nat SEP', '-nat SVC']);
    expect(failures).toEqual([]);
  });

  test('an endpoint that comes back soon keeps its chain', async () => {
    await program(cluster({ a: ['10.1.0.1'] }), ['ns/a']);
    await session.removeIdle(1_000, () => {});
    await program(cluster({ a: ['10.1.0.1', '10.1.0.2'] }), ['ns/a']);
    expect(sentKinds()).toEqual(['nat SVC 2']);
    await session.removeIdle(9_000, () => {});
    await session.removeIdle(99_000, () => {});
    expect(sentKinds()).toEqual([]);
  });
});

describe('settings', () => {
  const services = cluster({ a: ['10.1.0.1'], b: ['10.1.0.3'] });
  const by = (...cidrs: readonly string[]): SessionSettings => ({
    ...SETTINGS,
    layout: { ...SETTINGS.layout, localDetector: { kind: 'cidrs', cidrs: cidrs.map(parseCidr) } },
  });

  test('that rules of all Services follow reach all of them', async () => {
    await program(services);
    rules.takeNames();
    await program(services, [], by('10.2.0.0/16'));
    expect(sentKinds()).toEqual(['nat SVC 2']);
    await program(services, [], by('10.2.0.0/16', '10.3.0.0/16'));
    expect(sentKinds()).toEqual(['nat KUBE-MARK-OFFCLUSTER', 'nat SVC 2']);
    await program(services, [], by('10.2.0.0/16', '10.4.0.0/16'));
    expect(sentKinds()).toEqual(['nat KUBE-MARK-OFFCLUSTER']);
  });
});

describe('a start', () => {
  const services = cluster({ a: ['10.1.0.1', '10.1.0.2'], b: [] });

  test('on rules that are as they should be sends nothing', async () => {
    await program(services);
    rules.takeNames();
    session = openSession(rules);
    await program(services);
    expect(rules.applied).toEqual([]);
  });

  test('tells once which UDP frontends there were', async () => {
    rules.chains.set('nat KUBE-SERVICES', [
      '-d 172.30.0.9/32 -p udp -m udp --dport 53 -j KUBE-SVC-AAAAAAAAAAAAAAAA',
    ]);
    await program(services);
    const frontend = { kind: 'clusterIP', ip: '172.30.0.9', protocol: 'udp', port: 53 };
    expect(session.former).toEqual([{ frontend, endpoints: new Set() }]);
    await program(services);
    expect(session.former).toEqual([]);
  });

  test('puts right what is not', async () => {
    await program(services);
    rules.takeNames();
    rules.chains.set('filter KUBE-SERVICES', []);
    rules.guests.splice(0, 1);
    session = openSession(rules);
    await program(services);
    expect(rules.applied[0]?.guests).toHaveLength(1);
    expect(sentKinds()).toEqual(['filter KUBE-SERVICES']);
    expect(new Map([...rules.chains].sort())).toEqual(await coldContent(services));
  });

  test('after another proxy removes what it left', async () => {
    rules.chains.set('nat KUBE-XLB-AAAAAAAAAAAAAAAA', ['-j KUBE-SEP-AAAAAAAAAAAAAAAA']);
    rules.chains.set('nat KUBE-SEP-AAAAAAAAAAAAAAAA', []);
    rules.chains.set('nat CNI-HOSTPORT-DNAT', ['-j RETURN']);
    await program(services);
    await session.removeIdle(0, () => {});
    await session.removeIdle(5_000, () => {});
    expect([...rules.chains.keys()].filter((key) => key.includes('AAAA'))).toEqual([]);
    expect(rules.chains.get('nat CNI-HOSTPORT-DNAT')).toEqual(['-j RETURN']);
  });
});

describe('failures', () => {
  const services = cluster({ a: ['10.1.0.1'] });

  test('of a run reach the caller', async () => {
    rules.refuses = () => true;
    await expect(program(services)).rejects.toThrow('line 2 failed');
  });

  test('to delete one chain keep none of the others', async () => {
    const names = ['A', 'B', 'C', 'D', 'E'].map((letter) => `KUBE-SEP-${letter.repeat(16)}`);
    for (const name of names) rules.chains.set(`nat ${name}`, []);
    await program(services);
    const used = names[3];
    rules.refuses = ({ removedChains = [] }) => removedChains.some(({ name }) => name === used);
    const failures: string[] = [];
    await session.removeIdle(0, () => {});
    await session.removeIdle(5_000, (chain) => failures.push(chain));
    expect(failures).toEqual([used]);
    expect(names.filter((name) => rules.chains.has(`nat ${name}`))).toEqual([used]);
    rules.refuses = () => false;
    await session.removeIdle(10_000, (chain) => failures.push(chain));
    expect(names.filter((name) => rules.chains.has(`nat ${name}`))).toEqual([]);
  });
});

describe('the loopback', () => {
  const services = cluster({ a: ['10.1.0.1'] });

  test('is routed after it is guarded, and the guard of others is left alone', async () => {
    const seen: string[] = [];
    const open = () =>
      openSession(rules, {
        hasLoopbackNodePorts: true,
        routeLoopback: () => seen.push(`${rules.chains.has('filter KUBE-FIREWALL')}`),
      });
    session = open();
    await program(services);
    expect(seen).toEqual(['true']);
    const guards = rules.guests.filter(({ chain }) => chain === 'KUBE-FIREWALL');
    expect(guards).toHaveLength(1);
    rules.applied.splice(0);
    session = open();
    await program(services);
    expect(rules.applied).toEqual([]);
  });

  test('is left as it is without NodePorts on it', async () => {
    session = openSession(rules, {
      routeLoopback: () => {
        throw new Error('routed');
      },
    });
    await program(services);
    expect(rules.chains.has('filter KUBE-FIREWALL')).toBe(false);
  });
});

describe('any order of changes', () => {
  test('ends with the rules of a cold start', async () => {
    const seed = 20_261_121;
    let state = seed;
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((state / 2 ** 31) * below);
    };
    const services: Record<string, readonly string[]> = {};
    await program(cluster(services));
    for (let step = 0; step < 150; step += 1) {
      const name = `s${random(6)}`;
      const count = random(4);
      const endpoints = Array.from({ length: count }, () => `10.1.0.${1 + random(5)}`);
      if (random(5) === 0) delete services[name];
      else services[name] = [...new Set(endpoints)];
      // The address follows the place in the cluster, so every Service may have changed.
      const now = cluster(services);
      const gone = Array.from({ length: 6 }, (_, i) => `ns/s${i}`);
      await program(now, new Set([...now.keys(), ...gone]));
      await session.removeIdle(step * 3_000, (chain, error) => {
        throw new Error(chain, { cause: error });
      });
    }
    await session.removeIdle(1_000_000, () => {});
    await session.removeIdle(2_000_000, () => {});
    expect(new Map([...rules.chains].sort())).toEqual(await coldContent(cluster(services)));
  });
});

describe('what a standing comparison finds', () => {
  const differences = () => session.audit.compare('chains and jumps', () => false);
  const before = cluster({ a: ['10.1.0.1'], b: ['10.1.0.2', '10.1.0.3'], none: [] });

  test('nothing after a sync, with comments or without', async () => {
    const many = Array.from({ length: 1_001 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
    for (const services of [before, cluster({ a: ['10.1.0.1'], many })]) {
      await program(services);
      for (const [key, ports] of services) {
        expect(session.audit.isAsProgrammed(key, ports)).toBe(true);
      }
      expect(await differences()).toBe(0);
    }
  });

  test('a Service that was programmed otherwise, or not at all', async () => {
    await program(before);
    const after = cluster({ a: ['10.1.0.9'], b: ['10.1.0.2', '10.1.0.3'], none: ['10.1.0.4'] });
    const judged = [...after].map(([key, ports]) => session.audit.isAsProgrammed(key, ports));
    expect(judged).toEqual([false, true, false]);
    expect(session.audit.isAsProgrammed('ns/a', [])).toBe(false);
    expect(session.audit.isAsProgrammed('ns/unknown', after.get('ns/a') ?? [])).toBe(false);
    expect(session.audit.isAsProgrammed('ns/unknown', [])).toBe(true);
  });

  test('chains that were changed and jumps that are gone', async () => {
    await program(before);
    rules.chains.set('nat KUBE-SERVICES', []);
    rules.guests.splice(0, 1);
    expect(await differences()).toBe(2);
  });
});
