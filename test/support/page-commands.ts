import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/**
 * The commands in the blocks of a page such as `docs/install.md`, in order and without what is said beside
 * them; with a title only those of its section.
 */
export function pageCommands(page: string, title?: string): readonly string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const blocks = [...sectionOf(text, title).matchAll(/^```\n([^`]*)^```/gm)];
  return blocks
    .flatMap(([, block = '']) => block.split('\n'))
    .map((line) => line.replace(/\s+#.*/, ''))
    .filter(Boolean);
}

/** From the title to the next one of its level or above. */
function sectionOf(text: string, title: string | undefined): string {
  if (title === undefined) return text;
  const [before = '', after] = text.split(new RegExp(`^(?=#+ ${title}$)`, 'm'), 2);
  const section = after ?? (before.includes(`# ${title}\n`) ? before : undefined);
  if (section === undefined) throw new Error(`no title "${title}"`);
  const level = /^#+/.exec(section)?.[0].length ?? 1;
  const [head = '', ...lines] = section.split('\n');
  const end = lines.findIndex((line) => new RegExp(`^#{1,${level}} `).test(line));
  return [head, ...(end < 0 ? lines : lines.slice(0, end))].join('\n');
}
