import type { ResolvedPort } from '../state.ts';

/** What the Services of a session are rendered with: with another, all of them are rendered anew. */
export class Rendering<Options> {
  #options: Options | undefined;
  #text = '';

  /** Nothing has been rendered yet. */
  get isFirst(): boolean {
    return this.#options === undefined;
  }

  /** The Services to render with these options: those named, or all that are `known` as well. */
  begin(
    options: Options,
    groups: Iterable<readonly string[]>,
    known: Iterable<string>,
  ): ReadonlySet<string> {
    const text = JSON.stringify(options);
    const others = text === this.#text ? [] : known;
    this.#options = options;
    this.#text = text;
    return new Set([...[...groups].flat(), ...others]);
  }

  /** Whether `isSame` says so of what is `known` of a Service; one without ports has nothing. */
  isAsProgrammed<Known>(
    known: Known | undefined,
    ports: readonly ResolvedPort[],
    isSame: (known: Known, options: Options) => boolean,
  ): boolean {
    const options = this.#options;
    if (known === undefined || options === undefined) return ports.length === 0;
    return isSame(known, options);
  }
}
