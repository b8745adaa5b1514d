import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import { Connections } from '../../../../../src/proxy/modes/userspace/limits.ts';
import { UdpFlows } from '../../../../../src/proxy/modes/userspace/udp-flows.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const LIMITS = { connections: 3, connectionsPerService: 2, udpFlows: 2, udpIdleMs: 1000 };
const [ONE, OTHER] = ['172.30.0.1', '172.30.0.2'].map(parseIP) as [never, never];

describe('connections', () => {
  test('of one Service and of all', () => {
    const connections = new Connections(LIMITS);
    const admit = (service: string) => connections.admit(service, ONE) !== undefined;
    expect(['a', 'a', 'a', 'b', 'b'].map(admit)).toEqual([true, true, false, true, false]);
    expect(connections.running).toBe(3);
  });

  test('an end makes room, once', () => {
    const connections = new Connections(LIMITS);
    const [first] = [connections.admit('a', ONE), connections.admit('a', ONE)];
    first?.end();
    first?.end();
    expect([connections.running, connections.admit('a', ONE) !== undefined]).toEqual([1, true]);
    expect(connections.admit('a', ONE)).toBe(undefined);
  });

  test('addresses are those of running ones', () => {
    const connections = new Connections(LIMITS);
    const [first, second] = [connections.admit('a', ONE), connections.admit('a', ONE)];
    connections.admit('b', OTHER);
    first?.end();
    expect([...connections.addresses()]).toEqual([ONE, OTHER]);
    second?.end();
    expect([...connections.addresses()]).toEqual([OTHER]);
  });
});

describe('UDP flows', () => {
  function create(most = 10) {
    const clock = new FakeClock();
    const ended: string[] = [];
    const flows = new UdpFlows({ idleMs: 8_000, most, clock });
    const add = (key: string, endpoint = 'e', service = 's') =>
      flows.add(key, { family: 4, service, endpoint, onEnd: () => ended.push(key) });
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

  test('those that are meant end at once', () => {
    const { ended, flows, add } = create();
    add('stays', 'e1');
    add('goes', 'e2');
    flows.endAll(({ endpoint }) => endpoint === 'e2');
    expect([ended, flows.size]).toEqual([['goes'], 1]);
  });
});
