/**
 * proxy-in-process.ts NETNS SERVICES ENDPOINTS CHANGES: the proxy alone, without a source of objects:
 * programs a cluster into a namespace, then moves an endpoint CHANGES times. Prints JSON.
 */
import { netnses } from '../../src/kernel/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { changingService, unchangingServices } from './proxy-cases.ts';

/** In milliseconds. */
export interface InProcessTimes {
  readonly liveMs: number;
  readonly changesMs: readonly number[];
}

const [path = '', services, endpoints, changes] = process.argv.slice(2);
const kind = { title: '', services: Number(services), endpoints: Number(endpoints) };
const netns = netnses.open(path);
const proxy = createProxy(netns, { families: [4], nodeName: 'node0' });
const cluster = [changingService(kind, 0), ...unchangingServices(kind)];
const startedAt = performance.now();
for (const { service, slices } of cluster) {
  proxy.apply({ kind: 'service', now: service });
  for (const slice of slices) proxy.apply({ kind: 'slice', now: slice });
}
proxy.setSynced();
await proxy.sync();
const liveMs = performance.now() - startedAt;

const changesMs: number[] = [];
for (let round = 1; round <= Number(changes); round++) {
  const changed = changingService(kind, round).slices.at(-1);
  if (changed === undefined) throw new Error('a Service without slices');
  const changedAt = performance.now();
  proxy.apply({ kind: 'slice', now: changed });
  await proxy.sync();
  changesMs.push(performance.now() - changedAt);
}
await proxy.stop();
netns.close();
const times: InProcessTimes = { liveMs, changesMs };
process.stdout.write(JSON.stringify(times));
