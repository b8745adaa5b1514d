import type { Node } from '../kube/types.ts';
import { type FabricNode, readFabricNode } from './nodes.ts';

/** Nodes as they are told of at any time, and as a run sees them, which has its turns: the same until it ends. */
export class NodeBook {
  readonly #nodes = new Map<string, FabricNode>();
  /** Since they were last taken. */
  readonly #changed = new Map<string, FabricNode | undefined>();

  put(node: Node): void {
    this.#changed.set(node.metadata.name, readFabricNode(node));
  }

  delete(name: string): void {
    this.#changed.set(name, undefined);
  }

  /** By name, as they are now; until it is asked for again. */
  take(): ReadonlyMap<string, FabricNode> {
    for (const [name, node] of this.#changed) {
      if (node === undefined) this.#nodes.delete(name);
      else this.#nodes.set(name, node);
    }
    this.#changed.clear();
    return this.#nodes;
  }
}
