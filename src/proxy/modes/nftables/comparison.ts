import { isDeepStrictEqual } from 'node:util';
import { ElementDigest } from '../../../nftables/element-digest.ts';
import type { Chain, Element, NamedSet } from '../../../nftables/model.ts';
import { errorCode } from '../../../util/errors.ts';
import { Turn } from '../../../util/turns.ts';
import type { SessionAudit } from '../../session.ts';
import type { ResolvedPort } from '../../state.ts';
import { expectedElements } from './expected-elements.ts';
import { buildFragment, type Fragment } from './fragment.ts';
import { portId, type TableRenderer } from './renderer.ts';
import type { SetName, tableSets } from './sets.ts';
import type { ServiceTable } from './table.ts';

export interface ComparedTable {
  readonly table: Pick<ServiceTable, 'list' | 'damaged'>;
  readonly renderer: TableRenderer;
  readonly sets: ReturnType<typeof tableSets>;
  /** All chains it ought to have but those of slots. */
  readonly chains: () => readonly Chain[];
  /** Register bytes of the addresses that accept NodePorts. */
  readonly nodePortIPs: () => Iterable<string>;
}

const CHAINS = 'chains';

/** A listing that somebody else has to wait for. */
class Interrupted extends Error {}

/**
 * Compares a table with what was rendered into it: each set by a digest over its elements, all chains
 * by their rules. Reading is the kernel's work on another thread, decoding goes by turns.
 */
export class TableComparison implements SessionAudit {
  readonly #compared: ComparedTable;
  readonly #sets: ReadonlyMap<string, NamedSet>;

  constructor(compared: ComparedTable) {
    this.#compared = compared;
    // Clients that rules remember are nobody's model.
    const sets = compared.sets.filter(({ isDynamic }) => isDynamic !== true);
    this.#sets = new Map(
      sets.map((set) => [`${set.data === undefined ? 'set' : 'map'} ${set.name}`, set]),
    );
  }

  get places(): readonly string[] {
    return [CHAINS, ...this.#sets.keys()];
  }

  /** Rendering it again from where it stands would change nothing. */
  isAsProgrammed(service: string, ports: readonly ResolvedPort[]): boolean {
    const known = this.#compared.renderer.fragmentsOf(service);
    const again = new Map<string, Fragment>();
    for (const port of ports) again.set(portId(port), renderAgain(port, known?.get(portId(port))));
    return isDeepStrictEqual(known ?? new Map(), again);
  }

  async compare(place: string, isInterrupted: () => boolean): Promise<number | 'unsettled'> {
    const { table, renderer, chains } = this.#compared;
    if (place === CHAINS) return table.damaged([...chains(), ...renderer.slotChains()]).length;
    const set = this.#sets.get(place);
    if (set === undefined) return 0;
    const wanted = await digestInTurns(this.#expected(set.name as SetName));
    const found = new ElementDigest();
    try {
      const isConsistent = await table.list(set, (elements) => {
        for (const element of elements) found.add(element);
        if (isInterrupted()) throw new Interrupted();
      });
      if (!isConsistent) return 'unsettled';
    } catch (thrown) {
      if (thrown instanceof Interrupted) return 'unsettled';
      if (errorCode(thrown) !== 'ENOENT') throw thrown;
    }
    if (found.equals(wanted)) return 0;
    return Math.max(1, Math.abs(found.count - wanted.count));
  }

  #expected(set: SetName): Iterable<Element | undefined> {
    const { renderer, nodePortIPs } = this.#compared;
    if (set === 'nodeport-ips') return Array.from(nodePortIPs(), (key) => ({ key }));
    return expectedElements(renderer.family, set, renderer.allFragments());
  }
}

function renderAgain(port: ResolvedPort, known: Fragment | undefined): Fragment {
  return buildFragment(port, {
    slots: (kind, scope, key) =>
      known?.frontends.find((each) => each.kind === kind && each.key === key)?.[scope]?.slots ?? [],
    affinityId: () => known?.frontends[0]?.affinityId ?? 0,
  });
}

async function digestInTurns(elements: Iterable<Element | undefined>): Promise<ElementDigest> {
  const digest = new ElementDigest();
  const turn = new Turn();
  for (const element of elements) {
    if (element !== undefined) digest.add(element);
    if (turn.isOver) await turn.next();
  }
  return digest;
}
