import { expect, test } from 'vitest';
import { DescriptorBudget, openFilesLimit } from '../../../src/agent/descriptors.ts';
import { createLogger } from '../../../src/util/log.ts';

const WANTED = { connections: 16_384, udpFlows: 8_192 };

function budget(total: number) {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('info', { write: (line: string) => lines.push(JSON.parse(line)) });
  return { lines, budget: new DescriptorBudget(total, log) };
}

test.each([
  { total: 1_048_576, cni: 256, health: 100, connections: 16_384, lines: 0 },
  { total: Number.POSITIVE_INFINITY, cni: 256, health: 100, connections: 16_384, lines: 0 },
  { total: 4096, cni: 256, health: 100, connections: 611, lines: 1 },
  { total: 1024, cni: 125, health: 49, connections: 96, lines: 2 },
  { total: 128, cni: 8, health: 3, connections: 6, lines: 2 },
  { total: 32, cni: 2, health: 2, connections: 2, lines: 2 },
])('$total open files', ({ total, cni, health, connections, lines: count }) => {
  const { lines, budget: divided } = budget(total);
  const share = divided.forForwarder(WANTED);
  expect([divided.limits.cni, divided.limits.health, share.connections, lines.length]).toEqual([
    ...[cni, health, connections, count],
  ]);
});

test('the line names the settings and the cure', () => {
  const { lines, budget: divided } = budget(4096);
  divided.forForwarder(WANTED);
  expect(lines).toMatchObject([
    {
      limit: 4096,
      userspaceMaxConnections: 611,
      userspaceMaxUdpFlows: 305,
      cure: expect.stringMatching(/^allow 82960 open files .*or lower userspaceMaxConnections/),
    },
  ]);
});

test('with the limits that are named nothing is reduced', () => {
  expect(budget(2016).lines).toEqual([]);
  const { lines, budget: divided } = budget(82_960);
  expect([divided.forForwarder(WANTED), lines]).toEqual([WANTED, []]);
});

test('sockets that listen for Services leave half of the descriptors to others', () => {
  const all = [Infinity, 4096, 1024, 256, 64].map((total) => budget(total).budget);
  expect(all.map(({ healthPorts }) => healthPorts)).toEqual([2768, 764, 121, 25, 0]);
  expect(all.map(({ forwarderPlaces }) => forwarderPlaces)).toEqual([65_536, 764, 121, 25, 0]);
});

test('the limit of this process, and of one without', () => {
  expect(openFilesLimit()).toBeGreaterThan(100);
  expect(openFilesLimit('Max open files            unlimited   unlimited   files')).toBe(Infinity);
});
