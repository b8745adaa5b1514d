/** THIRD-PARTY-NOTICES: what the licences of others ask to be passed on with what is installed. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

interface Notice {
  readonly title: string;
  readonly text: string;
}

const RULE = '='.repeat(80);
const LICENCE_FILE = /^(licen[cs]e|copying|notice)/i;

/** Directories below node_modules of the packages whose code is in these bundles, sorted. */
export function bundledPackages(metafiles: readonly Metafile[]): readonly string[] {
  const directories = metafiles.flatMap(({ outputs }) =>
    Object.values(outputs).flatMap(({ inputs }) =>
      Object.keys(inputs).flatMap((path) => {
        return (
          /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path.replace(/^[\w-]+:/, ''))?.[0] ?? []
        );
      }),
    ),
  );
  return [...new Set(directories)].sort();
}

/** The whole file; `legalComments` are those that the bundled sources hold. */
export function noticesText(
  metafiles: readonly Metafile[],
  legalComments: readonly string[],
): string {
  const notices = [
    packageNotice(`node_modules/node-linux-${process.arch}`, 'Node.js'),
    ...bundledPackages(metafiles).map((directory) => packageNotice(directory)),
    // The typeface of the page.
    packageNotice('node_modules/@fontsource-variable/inter'),
    // Compiled into weft.node.
    packageNotice('node_modules/node-addon-api'),
    muslNotice(),
    ...legalComments.map((text) => ({ title: 'Comments in the bundled sources', text })),
  ];
  const head =
    'weft holds software of others. Their licences and notices follow; those of weft itself are in\n' +
    'LICENSE.\n';
  return [
    head,
    ...notices.map(({ title, text }) => `${RULE}\n${title}\n${RULE}\n\n${text.trim()}\n`),
  ].join('\n');
}

/** Throws for a package that does not say under what licence it is. */
function packageNotice(directory: string, name?: string): Notice {
  const about: Readonly<Record<string, unknown>> = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  );
  const licence = about['license'];
  const texts = readdirSync(directory)
    .filter((file) => LICENCE_FILE.test(file))
    .map((file) => readFileSync(join(directory, file), 'utf8').trim());
  if (typeof licence !== 'string' && texts.length === 0) {
    throw new Error(`notices: ${directory} names no licence`);
  }
  return {
    title: `${name ?? about['name']} ${about['version']}${typeof licence === 'string' ? ` (${licence})` : ''}`,
    text:
      texts.length > 0
        ? texts.join('\n\n')
        : `By ${authorOf(about)}, under the licence ${licence}.`,
  };
}

function authorOf({ author, name }: Readonly<Record<string, unknown>>): string {
  if (typeof author === 'string') return author;
  if (typeof author === 'object' && author !== null && 'name' in author) return String(author.name);
  return `the authors of ${name}`;
}

/** The shim and pause are linked with it statically. */
function muslNotice(): Notice {
  const path = '/usr/share/doc/musl-dev/copyright';
  if (!existsSync(path)) throw new Error(`notices: ${path} is missing: install musl-tools`);
  return { title: 'musl', text: readFileSync(path, 'utf8') };
}
