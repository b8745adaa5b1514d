/** A table of the Service proxy in memory that applies changes as the kernel would. */
import { isDeepStrictEqual } from 'node:util';
import type { ObservedTable, TableChange } from '../../src/nftables/applier.ts';
import { readU32Bytes } from '../../src/nftables/bytes.ts';
import type { Chain, Element, TableDefinition } from '../../src/nftables/model.ts';
import { elementIdentity } from '../../src/proxy/modes/nftables/observed.ts';
import { isSlotChain } from '../../src/proxy/modes/nftables/slot-chains.ts';
import type { ServiceTable } from '../../src/proxy/modes/nftables/table.ts';

export class FakeKernelError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** What survives a restart of the agent; open it as often as needed. */
export class FakeKernel {
  readonly sets = new Map<string, Map<string, Element>>();
  readonly chains = new Map<string, Chain>();
  /** Every change applied since the last clear. */
  readonly changes: TableChange[] = [];
  observations = 0;
  #definition = '';
  /** Makes the next `n` transactions fail. */
  failures = 0;

  readonly open = (definition: TableDefinition): ServiceTable => ({
    observe: () => this.#observe(definition),
    wake: () => {},
    apply: (change) => this.#apply(change),
    replace: (content) => this.#replace(definition, definition.chains, content),
    prepare: (content) => this.#replace(definition, definition.chains.filter(isRegular), content),
    hook: () => this.#apply({ chains: definition.chains.filter(isHooked), elements: [] }),
    list: async (set, onPart) => {
      onPart(this.elements(set.name));
      return true;
    },
    damaged: (chains) =>
      chains.filter(({ name, rules }) => !isDeepStrictEqual(this.chains.get(name)?.rules, rules)),
    close: () => {},
  });

  /** As `nft flush ruleset` would. */
  clear(): void {
    this.sets.clear();
    this.chains.clear();
    this.#definition = '';
  }

  elements(set: string): readonly Element[] {
    return [...(this.sets.get(set)?.values() ?? [])];
  }

  /** Element operations since the last clear; a replaced element counts twice. */
  get operations(): number {
    return this.changes
      .flatMap(({ elements }) => elements)
      .reduce((sum, { remove, add }) => sum + remove.length + add.length, 0);
  }

  /** Number of chains, rules and sets. */
  get structure(): { chains: number; rules: number; sets: number } {
    const rules = [...this.chains.values()].reduce((sum, chain) => sum + chain.rules.length, 0);
    return { chains: this.chains.size, rules, sets: this.sets.size };
  }

  /** The targets of a frontend in slot order, or its refusal. */
  route(kind: 'address' | 'nodePort', key: string): readonly string[] | string | undefined {
    const isAddress = kind === 'address';
    const refusals = isAddress ? 'no-endpoint-services' : 'no-endpoint-nodeports';
    const verdict = this.sets.get(isAddress ? 'service-ips' : 'service-nodeports')?.get(key)?.data;
    if (verdict === undefined) return this.sets.get(refusals)?.get(key)?.data;
    const slots = this.sets.get(isAddress ? 'endpoints' : 'nodeport-endpoints');
    return [...(slots?.values() ?? [])]
      .filter((element) => element.key.slice(0, -4) === key)
      .sort((a, b) => readU32Bytes(a.key, key.length) - readU32Bytes(b.key, key.length))
      .map((element) => element.data ?? '');
  }

  #observe(definition: TableDefinition): ObservedTable {
    this.observations++;
    const isAsDefined = this.#definition === JSON.stringify(definition);
    const elements = [...this.sets].map(([name, set]) => [name, [...set.values()]] as const);
    return {
      isAsDefined,
      isDormant: false,
      isHooked: [...this.chains.values()].some(isHooked),
      damaged: [],
      elements: new Map(isAsDefined ? elements : []),
      chains: [...this.chains.values()].map(({ name }) => ({ name, useCount: 1 })),
    };
  }

  #replace(definition: TableDefinition, chains: readonly Chain[], content: TableChange): void {
    this.#definition = JSON.stringify(definition);
    this.sets.clear();
    this.chains.clear();
    for (const { name } of definition.sets) this.sets.set(name, new Map());
    for (const chain of chains) this.chains.set(chain.name, chain);
    this.#apply(content);
  }

  #apply(change: TableChange): void {
    if (this.failures > 0) {
      this.failures--;
      throw new FakeKernelError('ENOSPC', 'made to fail');
    }
    this.changes.push(change);
    for (const chain of change.chains ?? []) this.chains.set(chain.name, chain);
    for (const { set, remove, add } of change.elements) {
      const elements = this.sets.get(set);
      if (elements === undefined) throw new FakeKernelError('ENOENT', `no set ${set}`);
      for (const element of remove) {
        if (!elements.delete(elementIdentity(element)))
          throw new FakeKernelError('ENOENT', `no element in ${set}`);
      }
      for (const element of add) {
        const identity = elementIdentity(element);
        if (set === 'source-ranges' && [...elements.values()].some(overlaps(element))) {
          throw new FakeKernelError('EEXIST', `range of ${set}`);
        }
        if (elements.has(identity)) throw new FakeKernelError('EEXIST', `element of ${set}`);
        elements.set(identity, element);
      }
    }
    for (const name of change.removedChains ?? []) this.chains.delete(name);
    this.#checkReferences();
  }

  /** Every verdict leads to a chain, and behind every chain of N slots there are N of them. */
  #checkReferences(): void {
    const slotsOf = new Map<string, Map<string, Set<number>>>();
    for (const [map, slotMap] of VERDICT_MAPS) {
      const slots = slotsOf.get(slotMap) ?? countSlots(this.sets.get(slotMap));
      slotsOf.set(slotMap, slots);
      for (const { key, data } of this.sets.get(map)?.values() ?? []) {
        const chain = data?.replace('goto ', '') ?? '';
        if (chain === 'accept') continue;
        if (!this.chains.has(chain)) throw new FakeKernelError('EBUSY', `no chain ${chain}`);
        if (!isSlotChain(chain)) continue;
        const found = slots.get(key) ?? new Set();
        for (let slot = 0; slot < Number(/\d+/.exec(chain)?.[0]); slot++) {
          if (!found.has(slot)) throw new FakeKernelError('HOLE', `${map}: no slot ${slot}`);
        }
      }
    }
  }
}

const isHooked = ({ base }: Chain) => base !== undefined;
const isRegular = (chain: Chain) => !isHooked(chain);

/** Maps with verdicts that lead to slots, and the maps with these. */
const VERDICT_MAPS = [
  ['service-ips', 'endpoints'],
  ['checked-services', 'endpoints'],
  ['outside-services', 'local-endpoints'],
  ['service-nodeports', 'nodeport-endpoints'],
  ['checked-nodeports', 'nodeport-endpoints'],
  ['outside-nodeports', 'local-nodeport-endpoints'],
] as const;

function countSlots(elements: ReadonlyMap<string, Element> | undefined): Map<string, Set<number>> {
  const slots = new Map<string, Set<number>>();
  for (const { key } of elements?.values() ?? []) {
    const frontend = key.slice(0, -4);
    const found = slots.get(frontend) ?? new Set();
    slots.set(frontend, found.add(readU32Bytes(key, frontend.length)));
  }
  return slots;
}

/** Whether ranges of one frontend overlap: keys of all fields but the last are single. */
function overlaps(added: Element): (there: Element) => boolean {
  const end = ({ key, keyEnd = key }: Element) => keyEnd;
  return (there) => there.key <= end(added) && added.key <= end(there);
}
