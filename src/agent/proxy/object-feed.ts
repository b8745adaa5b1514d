import { endpointSlices, nodes, services } from '../../kube/resources.ts';
import type { ObjectSource } from '../../kube/source.ts';
import type { Node } from '../../kube/types.ts';
import type { IP } from '../../net/ip.ts';
import type { ServiceProxy } from '../../proxy/service-proxy.ts';
import type { AgentContext } from '../context.ts';
import { watchServiceCIDRs } from '../objects/service-cidrs.ts';

/** What objects are handed to. */
export type FedProxy = Pick<ServiceProxy, 'apply' | 'setSynced'>;

/** How long kube-proxy waits for its Node's address before it goes on without. */
const NODE_WAIT_MS = 30_000;

/** Follows this node's object and hands it to the proxy, with the address that replaces its own. */
export class NodeFeed {
  #object: Node | undefined;
  #isRead = false;
  #isExpected: boolean;
  #override: IP | undefined;

  constructor(isExpected: boolean, override: IP | undefined) {
    this.#isExpected = isExpected;
    this.#override = override;
  }

  /** Undefined before it was read and after it was deleted. */
  get object(): Node | undefined {
    return this.#object;
  }

  /** The first reading is over, and there is none of that name. */
  get isMissing(): boolean {
    return this.#isRead && this.#object === undefined;
  }

  /** It exists or may still arrive: an API server has one for us, sooner or later. */
  get isExpected(): boolean {
    return this.#isExpected;
  }

  /** Resolves when the first reading is over. */
  async start(proxy: FedProxy, source: ObjectSource, nodeName: string): Promise<void> {
    const note = (node: Node) => {
      this.#isExpected = true;
      this.#object = node;
      proxy.apply({ kind: 'node', now: withAddress(node, this.#override) });
    };
    const { synced } = source.watch(nodes(nodeName), {
      onAdd: note,
      onUpdate: note,
      onDelete: (node) => {
        this.#object = undefined;
        proxy.apply({ kind: 'node', was: node });
      },
    });
    await synced;
    this.#isRead = true;
  }

  /** Another `bindAddress` is configured. */
  overrideAddress(proxy: FedProxy, override: IP | undefined): void {
    if (override === this.#override) return;
    this.#override = override;
    if (this.#object === undefined) return;
    proxy.apply({ kind: 'node', now: withAddress(this.#object, override) });
  }
}

type FeedContext = Pick<AgentContext, 'clock' | 'log'> & {
  readonly config: Pick<AgentContext['config'], 'serviceCIDRs'>;
};

/**
 * Hands Services, EndpointSlices and ServiceCIDRs to the proxy and lets it begin when all were read
 * whole, and the Node too or not in time: its address and podCIDRs decide about rules.
 */
export function feedObjects(
  { clock, log, config }: FeedContext,
  proxy: FedProxy,
  source: ObjectSource,
  nodeRead: Promise<void>,
): void {
  const read = [
    feedServices(proxy, source),
    feedSlices(proxy, source),
    watchServiceCIDRs(source, config.serviceCIDRs, (cidrs) =>
      proxy.apply({ kind: 'serviceCIDRs', cidrs }),
    ),
  ];
  const late = Promise.withResolvers<void>();
  const inTime = Promise.race([nodeRead, late.promise]);
  void Promise.all(read).then(async () => {
    const cancel = clock.schedule(NODE_WAIT_MS, () => {
      log.warn({ waitedMs: NODE_WAIT_MS }, 'node object not read in time, going on without');
      late.resolve();
    });
    await inTime;
    cancel();
    log.info('services and endpoints read');
    proxy.setSynced();
  });
}

function feedServices(proxy: FedProxy, source: ObjectSource): Promise<void> {
  return source.watch(services, {
    onAdd: (now) => proxy.apply({ kind: 'service', now }),
    onUpdate: (now, was) => proxy.apply({ kind: 'service', now, was }),
    onDelete: (was) => proxy.apply({ kind: 'service', was }),
  }).synced;
}

function feedSlices(proxy: FedProxy, source: ObjectSource): Promise<void> {
  return source.watch(endpointSlices, {
    onAdd: (now) => proxy.apply({ kind: 'slice', now }),
    onUpdate: (now, was) => proxy.apply({ kind: 'slice', now, was }),
    onDelete: (was) => proxy.apply({ kind: 'slice', was }),
  }).synced;
}

/** kube-proxy's `bindAddress` stands for the Node's address of its family. */
function withAddress(node: Node, address: IP | undefined): Node {
  if (address === undefined) return node;
  const addresses = [{ type: 'InternalIP', address }, ...(node.status?.addresses ?? [])];
  return { ...node, status: { ...node.status, addresses } };
}
