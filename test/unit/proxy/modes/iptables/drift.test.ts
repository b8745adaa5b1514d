import { beforeEach, describe, expect, test } from 'vitest';
import type { IptablesVariant } from '../../../../../src/iptables/command.ts';
import { openNodeEvents } from '../../../../../src/kernel/node-events.ts';
import { watchDrift } from '../../../../../src/proxy/modes/iptables/drift.ts';
import { KernelRules } from '../../../../../src/proxy/modes/iptables/kernel-rules.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const LISTING = [
  ...['*nat', ':OUTPUT ACCEPT [0:0]', ':KUBE-SERVICES - [0:0]', ':CNI-DN-1 - [0:0]'],
  ...['-A OUTPUT -j KUBE-SERVICES', '-A KUBE-SERVICES -d 172.30.0.1/32 -j RETURN'],
  '-A CNI-DN-1 -j RETURN',
].join('\n');

let listing: string;
let saves: number;
let drifts: string[];
let errors: number;

beforeEach(() => {
  listing = LISTING;
  saves = 0;
  drifts = [];
  errors = 0;
});

function kernelRules(variant: IptablesVariant = 'legacy'): KernelRules {
  return new KernelRules({
    variant,
    save: async () => {
      saves += 1;
      if (listing === '') throw new Error('iptables-save: no memory');
      return listing;
    },
    restore: async () => {},
    listCounted: async () => '',
    isOwnPort: () => false,
  });
}

describe('drift', () => {
  test.each([
    ['nothing', LISTING, []],
    ['rules of others', LISTING.replace('CNI-DN-1 -j RETURN', 'CNI-DN-1 -j ACCEPT'), []],
    ['a rule in our chain', LISTING.replace('172.30.0.1', '172.30.0.2'), ['nat KUBE-SERVICES']],
    ['a flushed chain', LISTING.replace(/-A KUBE-SERVICES.*/, ''), ['nat KUBE-SERVICES']],
    ['a jump', LISTING.replace('-A OUTPUT', '-A NOWHERE'), ['nat OUTPUT -j KUBE-SERVICES']],
    [
      'everything',
      '*nat\n:OUTPUT ACCEPT [0:0]',
      ['nat KUBE-SERVICES', 'nat OUTPUT -j KUBE-SERVICES'],
    ],
  ])('is seen in %s', async (_, later, want) => {
    const rules = kernelRules();
    await rules.observe();
    listing = later;
    expect(await rules.findDrift()).toEqual(want);
  });

  test('is not looked for before anything was written', async () => {
    const rules = kernelRules();
    expect(await rules.findDrift()).toEqual([]);
    expect(saves).toBe(0);
  });

  test('does not see our own changes', async () => {
    const rules = kernelRules();
    await rules.observe();
    const chain = { table: 'nat', name: 'KUBE-SERVICES', rules: ['-j ACCEPT'] } as const;
    const guest = { table: 'nat', chain: 'PREROUTING', rule: '-j KUBE-SERVICES' } as const;
    await rules.apply({ chains: [chain], guests: [{ ...guest, position: 'first' }] });
    listing = LISTING.replace('-d 172.30.0.1/32 -j RETURN', '-j ACCEPT').replace(
      ':KUBE-SERVICES',
      ':PREROUTING ACCEPT [0:0]\n-A PREROUTING -j KUBE-SERVICES\n:KUBE-SERVICES',
    );
    expect(await rules.findDrift()).toEqual([]);
  });
});

describe('a watch', () => {
  const clock = new FakeClock();
  /** Looks as often as it does within that time. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      clock.advance(1_000);
      // A look gives the event loop its turn by time: under load once or more.
      for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const watch = async () => {
    const rules = kernelRules();
    await rules.observe();
    saves = 0;
    return watchDrift(new Map([[4, rules]]), {
      clock,
      events: openNodeEvents(),
      onDrift: (family, what) => drifts.push(`IPv${family} ${what}`),
      onError: () => {
        errors += 1;
      },
    });
  };

  test('looks every five seconds where nobody is notified', async () => {
    const watching = await watch();
    await pass(20_000);
    expect(saves).toBe(4);
    listing = LISTING.replace('172.30.0.1', '172.30.0.2');
    await pass(5_000);
    expect(drifts).toEqual(['IPv4 nat KUBE-SERVICES']);
    watching.close();
    await pass(20_000);
    expect(saves).toBe(5);
  });

  test('answers ever more slowly who changes rules again and again', async () => {
    const watching = await watch();
    listing = LISTING.replace('172.30.0.1', '172.30.0.2');
    await pass(600_000);
    expect(drifts.length).toBeGreaterThan(8);
    expect(drifts.length).toBeLessThan(20);
    watching.close();
  });

  test('goes on after a failure', async () => {
    const watching = await watch();
    listing = '';
    await pass(5_000);
    expect(errors).toBe(1);
    listing = LISTING.replace('172.30.0.1', '172.30.0.2');
    await pass(5_000);
    expect(drifts).toHaveLength(1);
    watching.close();
  });
});
