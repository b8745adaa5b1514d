import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { suggestion } from '../config/nearest.ts';

export interface NodePresenceOptions {
  readonly nodeName: string;
  /** The first reading is over and brought no Node of that name. */
  readonly isMissing: () => boolean;
  /** Files need not hold Nodes at all; an API server has one for every node. */
  readonly needsNode: boolean;
  /** Names of Nodes that there are, at least some. */
  readonly nodeNames: () => Promise<readonly string[]>;
  readonly log: Logger;
}

const CURE =
  'set --node-name (weft agent) or --hostname-override (weft proxy) to the name that kubectl get ' +
  'nodes shows for this node';

/** Notices that this node goes by a name that no Node has: its pods then count as another node's. */
export class NodePresence {
  readonly #options: NodePresenceOptions;
  #others: readonly string[] = [];

  constructor(options: NodePresenceOptions) {
    this.#options = options;
  }

  /** What is wrong, with the nearest name; nothing while all is well. */
  problems(): readonly string[] {
    const { isMissing, needsNode, nodeName } = this.#options;
    if (!isMissing() || !(needsNode || this.#others.length > 0)) return [];
    const nearest = suggestion(nodeName, this.#others);
    return [`no Node is called "${nodeName}"${nearest}: endpoints on this node count as another's`];
  }

  /** To be called once the Nodes were read: says what is wrong, if anything is. */
  async check(): Promise<void> {
    const { isMissing, nodeNames, log, nodeName: node } = this.#options;
    if (!isMissing()) return;
    try {
      this.#others = await nodeNames();
    } catch (thrown) {
      log.debug({ reason: toError(thrown).message }, 'names of nodes not read');
    }
    for (const reason of this.problems()) log.warn({ node, reason, cure: CURE }, 'node not found');
  }
}
