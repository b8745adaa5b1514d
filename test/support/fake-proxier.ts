/** A proxier of IPv4 with a table in memory. */

import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { ipBytes, portBytes, protocolBytes, readIPBytes } from '../../src/nftables/bytes.ts';
import { type ClusterChange, familyChanges } from '../../src/proxy/cluster-change.ts';
import { tableSessions } from '../../src/proxy/modes/nftables/table-session.ts';
import type { NodeFacts } from '../../src/proxy/node-addresses.ts';
import { Proxier, type ProxierOptions } from '../../src/proxy/proxier.ts';
import { createLogger } from '../../src/util/log.ts';
import { FakeClock } from './fake-clock.ts';
import type { FakeKernel } from './fake-table.ts';

interface FakeProxier extends AsyncDisposable {
  readonly proxier: Proxier;
  /** Programs what is pending; `kernel.changes` then has what this sync did. */
  sync(): Promise<void>;
}

interface FakeObjects {
  readonly services?: readonly Service[];
  readonly slices?: readonly EndpointSlice[];
  readonly node?: NodeFacts;
}

/** On `node-a`, over tables in memory, with a clock that stands still and a log that nobody reads. */
export function fakeProxyOptions(open: Parameters<typeof tableSessions>[0]): ProxierOptions {
  return {
    nodeName: 'node-a',
    localDetection: { kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] },
    nodePortAddresses: { kind: 'primary' },
    hasNodeObjects: () => false,
    localAddresses: () => [],
    masqueradesAll: false,
    minSyncPeriodMs: 0,
    syncPeriodMs: 30_000,
    clock: new FakeClock(),
    log: createLogger('silent'),
    openSession: tableSessions(open),
  };
}

/** Tells a proxier of `node-a` what concerns its family. */
export function tell(proxier: Proxier, change: ClusterChange): void {
  for (const each of familyChanges(change, 'node-a')) {
    if (each.family === proxier.family) proxier.apply(each);
  }
}

/** A proxier on `node-a` that has synced these objects. */
export async function startFakeProxier(
  kernel: FakeKernel,
  { services = [], slices = [], node }: FakeObjects,
  options: Partial<ProxierOptions> = {},
): Promise<FakeProxier> {
  const proxier = new Proxier(4, { ...fakeProxyOptions(kernel.open), ...options });
  const sync = async () => {
    kernel.changes.length = 0;
    await proxier.sync();
  };
  for (const object of services) tell(proxier, { kind: 'service', now: object });
  for (const object of slices) tell(proxier, { kind: 'slice', now: object });
  if (node !== undefined) proxier.apply({ kind: 'node', family: 4, facts: node });
  proxier.setSynced();
  await sync();
  return { proxier, sync, [Symbol.asyncDispose]: () => proxier.stop() };
}

/** The key of `172.30.0.1 tcp 80` or `tcp 30080`. */
function frontendKeyOf(text: string): string {
  const [first = '', second = '', third] = text.split(' ');
  const [protocol, port] = third === undefined ? [first, second] : [second, third];
  if (protocol !== 'tcp' && protocol !== 'udp') throw new Error(`${text}: protocol`);
  const address = third === undefined ? '' : ipBytes(parseIP(first));
  return address + protocolBytes(protocol) + portBytes(Number(port));
}

/**
 * What the maps with a frontend's key say, `<map> <data>` each; addresses of slots in order,
 * ranges by their ends.
 */
export function frontendElements(kernel: FakeKernel, frontend: string): readonly string[] {
  const wanted = frontendKeyOf(frontend);
  return [...kernel.sets].flatMap(([set, elements]) => {
    const texts = [...elements.values()].flatMap(({ key, keyEnd = key, data = '' }) => {
      if (!key.startsWith(wanted)) return [];
      if (set.endsWith('endpoints') && key.length === wanted.length + 4) {
        return [readIPBytes(data, 0, 4)];
      }
      if (set === 'source-ranges') {
        const at = wanted.length;
        return [`${readIPBytes(key, at, 4)}-${readIPBytes(keyEnd, at, 4)}`];
      }
      return key === wanted && !set.startsWith('affinity-') ? [data] : [];
    });
    return texts.length === 0 ? [] : [`${set} ${texts.join(' ')}`];
  });
}
