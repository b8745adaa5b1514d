/** A command as values: what help, man pages and completions are made of, from the one place where it declares itself. */
import type { Argv } from 'yargs';
import type { Command } from './command.ts';

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
  /** Paragraphs, lists and examples below the flags. */
  readonly epilogue: string;
}

interface FlagOptions {
  readonly type?: string;
  readonly describe?: string;
  readonly hidden?: boolean;
  /** What to use instead. */
  readonly deprecated?: string | boolean;
}

/** What commands call of a parser when they declare themselves. */
class Recorder {
  readonly flags: DescribedFlag[] = [];
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
    const describe = typeof deprecated === 'string' ? `${text} [deprecated: ${deprecated}]` : text;
    const words = wordsIn(text);
    if (hidden !== true) this.flags.push({ name, describe, isSwitch: type === 'boolean', words });
    return this;
  }
}

/** Has the command declare itself, and takes notes. */
export function described(command: Command): DescribedCommand {
  const recorder = new Recorder();
  // Commands call nothing else of a parser; the test of every command's page would say so.
  command.declare(recorder as unknown as Argv);
  const { name, describe } = command;
  return { name, describe, usage: recorder.text, flags: recorder.flags, epilogue: recorder.end };
}

/** `tcp, udp or sctp` at the beginning. */
function wordsIn(describe: string): readonly string[] {
  const [found] = /^[a-z]+(?:, [a-z]+)* or [a-z]+(?=$|[ ,;:[])/.exec(describe) ?? [];
  return found === undefined ? [] : found.split(/, | or /);
}
