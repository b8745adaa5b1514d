/** The reference page of all commands, from the help that each of them prints. */
import { parseCommandLine } from '../src/cli/command-line.ts';
import { COMMAND_NAMES } from '../src/cli/commands.ts';

const HEAD = `# Commands

Made by \`make reference-pages\` of what \`--help\` prints; a test compares. What each key and flag of the agent
means is in [settings](settings.md) too.
`;

/** One section for each command, the first for \`weft\` itself. */
export function commandsPage(): string {
  const sections = ['', ...COMMAND_NAMES].map((name) => {
    const words = name.split(' ').filter((word) => word !== '');
    return `## ${['weft', ...words].join(' ')}\n\n\`\`\`\n${helpOf(words).trimEnd()}\n\`\`\`\n`;
  });
  return [HEAD, ...sections].join('\n');
}

function helpOf(words: readonly string[]): string {
  const invocation = parseCommandLine([...words, '--help']);
  if (!('help' in invocation)) throw new Error(`weft ${words.join(' ')} has no help`);
  return invocation.help;
}
