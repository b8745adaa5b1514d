/** The number of each ServicePort with session affinity in the keys of what clients remember. */
export class AffinityIds {
  readonly #byOwner = new Map<string, number>();
  readonly #taken = new Set<number>();
  /** Numbers found in the kernel are not given to anybody else until all owners have come. */
  #last = 0;

  constructor(observed: Iterable<number>) {
    for (const id of observed) this.#last = Math.max(this.#last, id);
  }

  /** The owner's number, for good; one of `remembered` if nobody has it, else one never used. */
  idOf(owner: string, remembered: readonly number[]): number {
    const known = this.#byOwner.get(owner);
    if (known !== undefined) return known;
    const id = remembered.find((candidate) => !this.#taken.has(candidate)) ?? this.#next();
    this.#byOwner.set(owner, id);
    this.#taken.add(id);
    return id;
  }

  release(owner: string): void {
    const id = this.#byOwner.get(owner);
    if (id === undefined) return;
    this.#byOwner.delete(owner);
    this.#taken.delete(id);
  }

  #next(): number {
    do this.#last = this.#last >= 0xffff_ffff ? 1 : this.#last + 1;
    while (this.#taken.has(this.#last));
    return this.#last;
  }
}
