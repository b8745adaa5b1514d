import { expect, test } from 'vitest';
import type { IpvsChange } from '../../../../../src/kernel/ipvs-types.ts';
import { KnownSchedulers, requireKernel } from '../../../../../src/proxy/modes/ipvs/probe.ts';
import { IoError, WeftError } from '../../../../../src/util/errors.ts';

/** A kernel with these schedulers; `codes` are the answers to the first probes. */
function kernel(schedulers: readonly string[], codes: readonly string[] = []) {
  const asked: string[] = [];
  const answers = [...codes];
  const ipvs = {
    async apply([add, remove]: readonly IpvsChange[]): Promise<void> {
      if (add?.op !== 'addServer' || remove?.op !== 'deleteServer') throw new Error('not a probe');
      asked.push(add.server.scheduler);
      const code = answers.shift() ?? (schedulers.includes(add.server.scheduler) ? '' : 'ENOENT');
      if (code !== '') throw new WeftError(code, `add: ${code}`);
    },
  };
  return { asked, schedulers: new KnownSchedulers(ipvs, 6) };
}

test('each scheduler is asked for once', async () => {
  const { asked, schedulers } = kernel(['rr', 'mh']);
  expect(await schedulers.learn(['rr', 'twos'])).toEqual(['twos']);
  expect(await schedulers.learn(['twos', 'mh', 'rr'])).toEqual([]);
  expect(asked).toEqual(['rr', 'twos', 'mh']);
  expect(['rr', 'mh', 'twos', 'sed'].map((name) => schedulers.has(name))).toEqual([
    ...[true, true, false, false],
  ]);
});

test('a probe that somebody left behind is no answer', async () => {
  const { asked, schedulers } = kernel(['rr'], ['EEXIST']);
  expect(await schedulers.learn(['rr'])).toEqual([]);
  expect(asked).toEqual(['rr', 'rr']);
});

test('another failure is one', async () => {
  const { schedulers } = kernel(['rr'], ['EPERM']);
  await expect(schedulers.learn(['rr'])).rejects.toThrow('EPERM');
});

const ALL = { requireType: () => {} };

test.each([
  {
    name: 'the scheduler',
    scheduler: 'twos',
    ipSets: ALL,
    want: /no IPVS scheduler twos \(ipvs\.scheduler\).*"modprobe ip_vs_twos".*CONFIG_IP_VS_TWOS/,
  },
  {
    name: 'a type of sets',
    scheduler: 'rr',
    ipSets: {
      requireType: (type: string) => {
        if (type === 'hash:ip,port,net') throw new IoError(`this kernel has no ${type}`);
      },
    },
    want: /this kernel has no hash:ip,port,net/,
  },
])('a kernel without $name is named', async ({ scheduler, ipSets, want }) => {
  const { schedulers } = kernel(['rr']);
  const needed = { family: 6, scheduler } as const;
  await expect(requireKernel(schedulers, ipSets, needed)).rejects.toThrow(want);
});

test('a kernel whose IPVS has no IPv6 is told so', async () => {
  const { schedulers } = kernel(['rr'], ['EAFNOSUPPORT']);
  const needed = { family: 6, scheduler: 'rr' } as const;
  await expect(requireKernel(schedulers, ALL, needed)).rejects.toThrow(
    "this kernel's IPVS has no IPv6: boot one built with CONFIG_IP_VS_IPV6",
  );
});
