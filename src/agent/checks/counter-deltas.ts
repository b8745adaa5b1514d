/** How much counters of the kernel have grown from one look to the next. */
export class CounterDeltas {
  readonly #last = new Map<string, number>();

  /** Since the last call with this name; at the first one all of it, which may be long ago. */
  grown(name: string, value: number): { readonly count: number; readonly isSinceLast: boolean } {
    const last = this.#last.get(name);
    this.#last.set(name, value);
    if (last === undefined) return { count: value, isSinceLast: false };
    // A counter that begins anew was below.
    return { count: Math.max(0, value - last), isSinceLast: true };
  }
}
