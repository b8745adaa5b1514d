import type { IpSetEntry, IpSetHeader, IpSetSpec, IpSets } from '../../../kernel/ipset-types.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { IoError } from '../../../util/errors.ts';
import {
  SET_ROLES,
  type SetEntry,
  type SetRoleName,
  setName,
  setSpec,
  spareSetName,
} from './sets.ts';

/** The proxy's sets of one family in the kernel. */
export class KernelSets {
  readonly #ipSets: IpSets;
  readonly #family: IPFamily;

  constructor(ipSets: IpSets, family: IPFamily) {
    this.#ipSets = ipSets;
    this.#family = family;
  }

  /** Makes what is missing; the others keep what they hold. Throws IoError for a set of another type. */
  async ensure(): Promise<void> {
    const headers = new Map(this.#ipSets.sets().map((header) => [header.name, header]));
    for (const role of SET_ROLES) {
      const spec = setSpec(role, this.#family);
      const header = headers.get(spec.name);
      if (header === undefined) this.#ipSets.create(spec);
      else if (!isOfType(header, spec)) throw strangeSet(header, spec);
      else if (isSmaller(header, spec)) await this.#enlarge(spec);
    }
  }

  /** None for a set that is not there. */
  async entries(role: SetRoleName): Promise<readonly SetEntry[]> {
    if (this.#ipSets.set(this.#nameOf(role)) === undefined) return [];
    const entries = await this.#ipSets.entries(this.#nameOf(role));
    return entries.map((entry) => ({ role, entry }));
  }

  async add(entries: readonly SetEntry[]): Promise<void> {
    await this.#eachSet(entries, async (name, some) => this.#ipSets.add(name, some));
  }

  async remove(entries: readonly SetEntry[]): Promise<void> {
    await this.#eachSet(entries, async (name, some) => this.#ipSets.delete(name, some));
  }

  /** How many entries each set has; a set that is gone has none. */
  sizes(): ReadonlyMap<SetRoleName, number> {
    const sizes = new Map(this.#ipSets.sets().map(({ name, elements }) => [name, elements]));
    return new Map(SET_ROLES.map((role) => [role, sizes.get(this.#nameOf(role)) ?? 0]));
  }

  /** kube-proxy's have room for 65,536: the larger one takes the place of it under the rules. */
  async #enlarge(spec: IpSetSpec): Promise<void> {
    const spare = spareSetName(this.#family);
    this.#ipSets.destroy(spare);
    this.#ipSets.create({ ...spec, name: spare });
    await this.#ipSets.add(spare, await this.#ipSets.entries(spec.name));
    this.#ipSets.swap(spare, spec.name);
    this.#ipSets.destroy(spare);
  }

  async #eachSet(
    entries: readonly SetEntry[],
    change: (name: string, entries: readonly IpSetEntry[]) => Promise<void>,
  ): Promise<void> {
    for (const [role, some] of Map.groupBy(entries, (entry) => entry.role)) {
      await change(
        this.#nameOf(role),
        some.map(({ entry }) => entry),
      );
    }
  }

  #nameOf(role: SetRoleName): string {
    return setName(role, this.#family);
  }
}

function isOfType(header: IpSetHeader, spec: IpSetSpec): boolean {
  if (header.type !== spec.type) return false;
  if (spec.type !== 'bitmap:port') return header.family === spec.family;
  return header.firstPort === spec.firstPort && header.lastPort === spec.lastPort;
}

function isSmaller(header: IpSetHeader, spec: IpSetSpec): boolean {
  return spec.type !== 'bitmap:port' && (header.maxElements ?? 0) < spec.maxElements;
}

function strangeSet({ name, type }: IpSetHeader, spec: IpSetSpec): IoError {
  const cure = 'it is not of this proxy; rename or destroy it, or use another proxy mode';
  return new IoError(`ipset ${name} is of type ${type}, not ${spec.type} as wanted: ${cure}`);
}
