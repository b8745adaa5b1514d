import { netnses } from '../../src/kernel/netns.ts';
import type { Node } from '../../src/kube/types.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import type { TableDefinition } from '../../src/nftables/model.ts';
import { kernelTables } from '../../src/proxy/modes/nftables/kernel-table.ts';
import { tableSessions } from '../../src/proxy/modes/nftables/table-session.ts';
import type { ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { createNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import type { ClusterChange, RandomCluster } from './random-cluster.ts';
import { readContent, readRules, type TableContent } from './table-content.ts';

export interface ColdStart {
  readonly definitions: readonly TableDefinition[];
  readonly content: TableContent;
  readonly rules: TableContent;
}

/** What a proxy that is started once, from these objects, writes into an empty namespace. */
export async function coldStart(
  { services, slices }: Pick<RandomCluster, 'services' | 'slices'>,
  node: Node,
  options: Partial<ServiceProxyOptions>,
): Promise<ColdStart> {
  const definitions: TableDefinition[] = [];
  const namespace = createNetns('cold');
  const netns = netnses.open(namespace.path);
  try {
    const open = kernelTables(() => NftablesConnection.open({ netns }));
    const openTable: typeof open = (definition) => {
      definitions.push(definition);
      return open(definition);
    };
    const proxy = createProxy(netns, { ...options, openSession: tableSessions(openTable) });
    proxy.apply({ kind: 'node', now: node });
    for (const service of services.values()) proxy.apply({ kind: 'service', now: service });
    for (const slice of slices.values()) proxy.apply({ kind: 'slice', now: slice });
    proxy.setSynced();
    await proxy.sync();
    await proxy.stop();
    const content = readContent(netns, definitions);
    return { definitions, content, rules: readRules(namespace, definitions) };
  } finally {
    netns.close();
    namespace.remove();
  }
}

/** The object as the proxy's handlers want it. */
export function applyChange(proxy: ReturnType<typeof createProxy>, change: ClusterChange): void {
  if (change.kind === 'services') {
    if (change.verb === 'put') proxy.apply({ kind: 'service', now: change.object });
    else proxy.apply({ kind: 'service', was: change.object });
  } else if (change.verb === 'put') proxy.apply({ kind: 'slice', now: change.object });
  else proxy.apply({ kind: 'slice', was: change.object });
}
