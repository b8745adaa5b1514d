import { nodeOfLease, type SubnetLease, subnetLeases } from '../../fabric/subnets/lease.ts';
import type { Resource } from '../../kube/resources.ts';
import { isSameValue } from '../../kube/same.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../../kube/source.ts';
import type { KubernetesObject, Node } from '../../kube/types.ts';

/** A source whose Nodes are made of subnet leases: who has a lease is a node of the cluster. */
export class LeasedNodes implements ObjectSource {
  readonly #source: ObjectSource;

  constructor(source: ObjectSource) {
    this.#source = source;
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription<T> {
    if (resource.plural !== 'nodes') return this.#source.watch(resource, handlers);
    // The plural says what T is.
    const isSelected = resource.isSelected as unknown as (node: Node) => boolean;
    const followed = new NodesOfLeases(handlers as unknown as ObjectHandlers<Node>, isSelected);
    const { synced, confirmed, close } = this.#source.watch(subnetLeases, {
      onAdd: (lease) => followed.put(lease),
      onUpdate: (lease, old) => followed.replace(lease, old),
      onDelete: (lease) => followed.delete(lease),
    });
    const objects = () => followed.nodes() as readonly KubernetesObject[] as readonly T[];
    return { synced, confirmed, close, objects };
  }

  start(signal: AbortSignal): void {
    this.#source.start(signal);
  }

  hasSynced(): boolean {
    return this.#source.hasSynced();
  }
}

/** Of several leases of one node the newest counts: it has moved. */
export class NodesOfLeases {
  readonly #handlers: ObjectHandlers<Node>;
  readonly #isSelected: (node: Node) => boolean;
  /** By name of the node, then of the lease. */
  readonly #leases = new Map<string, Map<string, SubnetLease>>();
  readonly #nodes = new Map<string, Node>();

  constructor(handlers: ObjectHandlers<Node>, isSelected: (node: Node) => boolean) {
    this.#handlers = handlers;
    this.#isSelected = isSelected;
  }

  nodes(): readonly Node[] {
    return [...this.#nodes.values()];
  }

  put(lease: SubnetLease): void {
    const { name } = nodeOfLease(lease).metadata;
    const leases = this.#leases.get(name) ?? new Map<string, SubnetLease>();
    leases.set(lease.metadata.name, lease);
    this.#leases.set(name, leases);
    this.#tell(name);
  }

  replace(lease: SubnetLease, old: SubnetLease): void {
    const isSameNode = nodeOfLease(old).metadata.name === nodeOfLease(lease).metadata.name;
    if (!isSameNode) this.delete(old);
    this.put(lease);
  }

  delete(lease: SubnetLease): void {
    const { name } = nodeOfLease(lease).metadata;
    const leases = this.#leases.get(name);
    leases?.delete(lease.metadata.name);
    if (leases?.size === 0) this.#leases.delete(name);
    this.#tell(name);
  }

  #tell(name: string): void {
    const node = this.#nodeOf(name);
    const old = this.#nodes.get(name);
    if (node === undefined) {
      this.#nodes.delete(name);
      if (old !== undefined) this.#handlers.onDelete(old);
      return;
    }
    if (old !== undefined && isSameValue(old, node)) return;
    this.#nodes.set(name, node);
    if (old === undefined) this.#handlers.onAdd(node);
    else this.#handlers.onUpdate(node, old);
  }

  #nodeOf(name: string): Node | undefined {
    const leases = [...(this.#leases.get(name)?.values() ?? [])];
    const age = ({ metadata }: SubnetLease) => metadata.uid ?? '';
    const newest = leases.reduce<SubnetLease | undefined>(
      (found, each) => (found === undefined || age(each) > age(found) ? each : found),
      undefined,
    );
    const node = newest && nodeOfLease(newest);
    return node !== undefined && this.#isSelected(node) ? node : undefined;
  }
}
