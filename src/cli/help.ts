/** What `--help` prints, from what commands declare. */
import type { Command } from './command.ts';
import type { DescribedCommand, DescribedFlag } from './described.ts';
import { entryLines, paragraphs } from './help-layout.ts';

/** Of one command: usage, flags, and what teaches. */
export function commandHelp({ usage, flags, epilogue }: DescribedCommand): string {
  const table = entryLines(flags.map(flagEntry));
  return joined([usage, ...(table.length === 0 ? [] : ['', 'Options:', ...table])], epilogue);
}

/** Of `weft`, or of commands with the same first word. */
export function groupHelp(usage: string, commands: readonly Command[], epilogue = ''): string {
  const table = entryLines(
    commands.map(({ name, describe }) => ({ left: `weft ${name}`, right: describe })),
  );
  return joined([`${usage} [flags]`, '', 'Commands:', ...table], epilogue);
}

function flagEntry({ name, describe, isSwitch }: DescribedFlag) {
  const dashed = name.length === 1 ? `-${name}` : `--${name}`;
  return { left: isSwitch ? dashed : `${dashed} VALUE`, right: describe };
}

function joined(lines: readonly string[], epilogue: string): string {
  return [...lines, ...(epilogue === '' ? [] : ['', paragraphs(epilogue)])].join('\n');
}
