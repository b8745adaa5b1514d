import type { SharedElement } from './fragment.ts';

/** How many ServicePorts need each of the elements that several may need. */
export class SharedElements {
  readonly #users = new Map<string, number>();

  /** True when nobody needed it before. */
  add(item: SharedElement): boolean {
    const users = this.#users.get(idOf(item)) ?? 0;
    this.#users.set(idOf(item), users + 1);
    return users === 0;
  }

  /** True when nobody needs it any more. */
  remove(item: SharedElement): boolean {
    const users = this.#users.get(idOf(item)) ?? 0;
    if (users > 1) this.#users.set(idOf(item), users - 1);
    else this.#users.delete(idOf(item));
    return users === 1;
  }
}

function idOf({ set, key }: SharedElement): string {
  return `${set} ${key}`;
}
