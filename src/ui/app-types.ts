/** Rates of the last minutes by Service. */
export type History = ReadonlyMap<string, readonly number[]>;
