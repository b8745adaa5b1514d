import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import { Connections } from '../../../../../src/proxy/modes/userspace/limits.ts';
import { UdpFlows } from '../../../../../src/proxy/modes/userspace/udp-flows.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const LIMITS = { connections: 3, connectionsPerService: 2, udpFlows: 2, udpIdleMs: 1000 };
const [A, B, C] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(parseIP) as [never, never, never];
const [ONE, OTHER] = ['172.30.0.1', '172.30.0.2'].map(parseIP) as [never, never];

describe('connections', () => {
  test('of one Service and of all', () => {
    const connections = new Connections(LIMITS);
    const admit = (service: string) => connections.admit(service, ONE, A) !== undefined;
    expect(['a', 'a', 'a', 'b', 'b'].map(admit)).toEqual([true, true, false, true, false]);
    expect(connections.running).toBe(3);
  });

  test('an end makes room, once', () => {
    const connections = new Connections(LIMITS);
    const [first] = [connections.admit('a', ONE, A), connections.admit('a', ONE, A)];
    first?.end();
    first?.end();
    expect([connections.running, connections.admit('a', ONE, A) !== undefined]).toEqual([1, true]);
    expect(connections.admit('a', ONE, A)).toBe(undefined);
  });

  test('addresses are those of running ones', () => {
    const connections = new Connections(LIMITS);
    const [first, second] = [connections.admit('a', ONE, A), connections.admit('a', ONE, A)];
    connections.admit('b', OTHER, A);
    first?.end();
    expect([...connections.addresses()]).toEqual([ONE, OTHER]);
    second?.end();
    expect([...connections.addresses()]).toEqual([OTHER]);
  });
});

describe('one source', () => {
  const limits = { ...LIMITS, connections: 100, connectionsPerService: 50 };

  function admitted(connections: Connections, count: number, service: string, source: never) {
    const tries = Array.from({ length: count }, () => connections.admit(service, ONE, source));
    return tries.filter((admission) => admission !== undefined).length;
  }

  test('gets four of five of a Service and of all', () => {
    const connections = new Connections(limits);
    expect(admitted(connections, 200, 'a', A)).toBe(40);
    expect(admitted(connections, 200, 'b', A)).toBe(40);
    expect(admitted(connections, 10, 'c', A)).toBe(0);
  });

  test('leaves something for others, and each of them for the next', () => {
    const connections = new Connections(limits);
    for (const service of ['a', 'b']) admitted(connections, 200, service, A);
    expect([admitted(connections, 5, 'a', B), admitted(connections, 5, 'a', C)]).toEqual([5, 4]);
  });
});

describe('UDP flows', () => {
  function create(most = 10) {
    const clock = new FakeClock();
    const ended: string[] = [];
    const flows = new UdpFlows({ idleMs: 8_000, most, clock });
    const add = (key: string, endpoint = 'e', source: never = A) =>
      flows.add(key, { family: 4, service: 's', source, endpoint, onEnd: () => ended.push(key) });
    return { clock, ended, flows, add };
  }

  test('silence ends them', () => {
    const { clock, ended, flows, add } = create();
    add('quiet');
    add('busy');
    for (let i = 0; i < 10; i++) {
      clock.advance(1_000);
      flows.touch('busy');
    }
    expect([ended, flows.size]).toEqual([['quiet'], 1]);
    clock.advance(9_000);
    expect([ended, flows.size]).toEqual([['quiet', 'busy'], 0]);
  });

  test('flows that come after all have gone end too', () => {
    const { clock, ended, add } = create();
    add('one');
    clock.advance(60_000);
    add('two');
    clock.advance(9_000);
    expect(ended).toEqual(['one', 'two']);
  });

  test('when there are too many the one that was silent for longest goes', () => {
    const { clock, ended, flows, add } = create(2);
    add('one');
    add('two');
    clock.advance(1_000);
    flows.touch('one');
    add('three');
    expect(ended).toEqual(['two']);
  });

  test('a source with more than half of them gives way to itself', () => {
    const { ended, add } = create(4);
    add('other', 'e', B);
    for (let i = 0; i < 5; i++) add(`greedy ${i}`);
    add('another', 'e', C);
    expect(ended).toEqual(['greedy 0', 'greedy 1', 'other']);
  });

  test('those that are meant end at once', () => {
    const { ended, flows, add } = create();
    add('stays', 'e1');
    add('goes', 'e2');
    flows.endAll(({ endpoint }) => endpoint === 'e2');
    expect([ended, flows.size]).toEqual([['goes'], 1]);
  });
});
