/** The reference page of all commands, from the help that each of them prints. */
import { parseCommandLine } from '../src/cli/command-line.ts';
import { COMMAND_NAMES } from '../src/cli/commands.ts';

const HEAD = `# Commands

Made by \`make reference-pages\` of what \`--help\` prints; a test compares. What each key and flag of the agent
means is in [settings](settings.md) too.
`;

/** One section for each command, the first for \`weft\` itself. */
export async function commandsPage(): Promise<string> {
  const sections = ['', ...COMMAND_NAMES].map(async (name) => {
    const words = name.split(' ').filter((word) => word !== '');
    return `## ${['weft', ...words].join(' ')}\n\n\`\`\`\n${(await helpOf(words)).trimEnd()}\n\`\`\`\n`;
  });
  return [HEAD, ...(await Promise.all(sections))].join('\n');
}

async function helpOf(words: readonly string[]): Promise<string> {
  const invocation = await parseCommandLine([...words, '--help']);
  if (!('help' in invocation)) throw new Error(`weft ${words.join(' ')} has no help`);
  return invocation.help;
}
