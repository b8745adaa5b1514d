/** What a command says of itself: help, manual pages, completions and the parser are made of it. */
export interface Declaration {
  usage(text: string): this;
  /** Paragraphs, lists and examples below the flags. */
  epilogue(text: string): this;
  option(name: string, flag: FlagOptions): this;
}

export interface FlagOptions {
  /** `boolean`: it takes no value. */
  readonly type: 'string' | 'boolean';
  readonly describe?: string;
  /** It is taken, with a value or without, and nowhere told. */
  readonly hidden?: boolean;
  /** What to use instead. */
  readonly deprecated?: string;
}
