/** What parts of an agent find wrong at the moment, in words: none of it may be called healthy. */
export class Problems {
  readonly #finders: (() => readonly string[])[] = [];

  /** Asks for the problems of a part, whenever somebody wants to know. */
  add(find: () => readonly string[]): void {
    this.#finders.push(find);
  }

  find(): readonly string[] {
    return this.#finders.flatMap((find) => find());
  }
}
