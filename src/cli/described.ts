/** A command as values: what help, man pages, completions and the parser are made of, from the one place where it declares itself. */
import type { Command } from './command.ts';
import type { Declaration, FlagOptions } from './declaration.ts';

export interface DescribedFlag {
  /** Without dashes; one letter is a short flag. */
  readonly name: string;
  readonly describe: string;
  /** It takes no value. */
  readonly isSwitch: boolean;
  /** The only values, where the description begins with them; empty otherwise. */
  readonly words: readonly string[];
}

export interface DescribedCommand {
  readonly name: string;
  readonly describe: string;
  readonly usage: string;
  readonly flags: readonly DescribedFlag[];
  /** Names of those that are taken, with a value or without, and nowhere told. */
  readonly hiddenFlags: readonly string[];
  /** Paragraphs, lists and examples below the flags. */
  readonly epilogue: string;
}

/** Takes notes of what a command declares. */
class Recorder implements Declaration {
  readonly flags: DescribedFlag[] = [];
  readonly hiddenFlags: string[] = [];
  text = '';
  end = '';

  usage(text: string): this {
    this.text = text;
    return this;
  }

  epilogue(text: string): this {
    this.end = text;
    return this;
  }

  option(name: string, { type, describe: text = '', hidden, deprecated }: FlagOptions): this {
    const describe = deprecated === undefined ? text : `${text} [deprecated: ${deprecated}]`;
    if (hidden === true) this.hiddenFlags.push(name);
    else this.flags.push({ name, describe, isSwitch: type === 'boolean', words: wordsIn(text) });
    return this;
  }
}

/** Has the command declare itself. */
export async function described(command: Command): Promise<DescribedCommand> {
  const recorder = new Recorder();
  await command.declare(recorder);
  const { name, describe } = command;
  const { text: usage, flags, hiddenFlags, end: epilogue } = recorder;
  return { name, describe, usage, flags, hiddenFlags, epilogue };
}

/** `tcp, udp or sctp` at the beginning. */
function wordsIn(describe: string): readonly string[] {
  const [found] = /^[a-z]+(?:, [a-z]+)* or [a-z]+(?=$|[ ,;:[])/.exec(describe) ?? [];
  return found === undefined ? [] : found.split(/, | or /);
}
