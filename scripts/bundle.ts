/**
 * bundle.ts DIR: the two programs as single files, with the addon left outside beside them.
 * `weft.mjs` is the command line, `weft-*.mjs` what it loads for the agent and other work. `weft-cni.cjs` is the standalone CNI executable: a
 * loader for `weft-cni.bin`, which holds its code and V8's cache of it. `page/` is what `weft ui` shows, `man/` has a
 * manual page for each command.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { build, type Metafile } from 'esbuild';
import { WEFT_VERSION } from '../src/agent/version.ts';
import { manPages } from '../src/cli/man-pages.ts';
import { BUNDLE_OPTIONS } from './bundle-options.ts';
import { bundlePage } from './bundle-page.ts';
import { bundleWeft, fileNames, refuseWarnings } from './bundle-weft.ts';
import { noticesText } from './third-party-notices.ts';

const [outdir = 'dist'] = process.argv.slice(2);

/** Node's modules that are ready when a program starts. */
const READY_MODULES = new Set([
  'node:fs',
  'node:module',
  'node:os',
  'node:path',
  'node:util',
  'os',
]);
/** Modules that take milliseconds to load: not before the first use of one of their exports. */
const LAZY_MODULES = ['node:child_process', 'node:crypto'];

/** The standalone's code is a function, called by the loader with its `require` and its URL. */
const STANDALONE_HEAD = `(function (load, loaderUrl) {
const lazy = ${JSON.stringify(LAZY_MODULES)};
const loaded = new Map();
const require = (id) => {
  if (!loaded.has(id)) loaded.set(id, lazy.includes(id) ? lazily(id) : load(id));
  return loaded.get(id);
};
const lazily = (id) => new Proxy({}, { get: (_, name) => load(id)[name] });
`;

mkdirSync(`${outdir}/man`, { recursive: true });
// Their names say what is in them.
for (const file of readdirSync(outdir))
  if (/^weft-\w+\.mjs$/.test(file)) rmSync(`${outdir}/${file}`);
for (const { file, text } of await manPages({ version: WEFT_VERSION, date: editionDate() })) {
  writeFileSync(`${outdir}/man/${file}`, text);
}
const metafiles = [
  await bundleWeft(outdir),
  await bundleStandalone(),
  await bundlePage(`${outdir}/page`),
];
const legalComments = metafiles.flatMap(fileNames).flatMap(takeLegalComments);
writeFileSync(`${outdir}/THIRD-PARTY-NOTICES`, noticesText(metafiles, legalComments));

/** Of the commit, so that the same commit gives the same bytes. */
function editionDate(): string {
  const seconds = execFileSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8' });
  return new Date(Number(seconds) * 1000).toISOString().slice(0, 10);
}

async function bundleStandalone(): Promise<Metafile> {
  const source = `${outdir}/weft-cni.js`;
  const result = await build({
    ...BUNDLE_OPTIONS,
    entryPoints: ['src/cli/cni.ts'],
    outfile: source,
    format: 'cjs',
    minify: true,
    define: { 'import.meta.url': 'loaderUrl' },
    banner: { js: STANDALONE_HEAD },
    footer: { js: '})' },
  });
  refuseWarnings(result);
  for (const { imports } of Object.values(result.metafile.outputs)) {
    const costly = imports.find(
      ({ path }) => !READY_MODULES.has(path) && !LAZY_MODULES.includes(path),
    );
    if (costly !== undefined) throw new Error(`weft-cni: ${costly.path} is loaded at every start`);
  }
  copyFileSync('scripts/weft-cni.cjs', `${outdir}/weft-cni.cjs`);
  const flags = readFileSync('native/shim/node-flags', 'utf8').split('\n').filter(Boolean);
  const program = [...flags, 'scripts/code-cache.ts', source, `${outdir}/weft-cni.bin`];
  execFileSync(process.execPath, program, { stdio: 'inherit' });
  rmSync(source);
  return result.metafile;
}

/** esbuild leaves them beside the bundle where there are some. */
function takeLegalComments(file: string): readonly string[] {
  const path = `${outdir}/${file}`;
  if (!file.endsWith('.LEGAL.txt') || !existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  rmSync(path);
  return text.trim() === '' ? [] : [text];
}
