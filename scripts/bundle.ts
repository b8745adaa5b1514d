/**
 * bundle.ts DIR: the two programs as single files, with the addon left outside beside them.
 * `weft.mjs` is the command line and the agent. `weft-cni.cjs` is the standalone CNI executable: a
 * loader for `weft-cni.bin`, which holds its code and V8's cache of it. `page/` is what `weft ui` shows, `man/` has a
 * manual page for each command.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type BuildResult, build, type Metafile } from 'esbuild';
import { WEFT_VERSION } from '../src/agent/version.ts';
import { manPages } from '../src/cli/man-pages.ts';
import { BUNDLE_OPTIONS } from './bundle-options.ts';
import { bundlePage } from './bundle-page.ts';
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
for (const { file, text } of await manPages({ version: WEFT_VERSION, date: editionDate() })) {
  writeFileSync(`${outdir}/man/${file}`, text);
}
const metafiles = [
  await bundleAgent(),
  await bundleStandalone(),
  await bundlePage(`${outdir}/page`),
];
const legalComments = ['weft.mjs', 'weft-cni.js'].flatMap(takeLegalComments);
writeFileSync(`${outdir}/THIRD-PARTY-NOTICES`, noticesText(metafiles, legalComments));

/** Of the commit, so that the same commit gives the same bytes. */
function editionDate(): string {
  const seconds = execFileSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8' });
  return new Date(Number(seconds) * 1000).toISOString().slice(0, 10);
}

async function bundleAgent(): Promise<Metafile> {
  const result = await build({
    ...BUNDLE_OPTIONS,
    entryPoints: ['src/cli/weft.ts'],
    outfile: `${outdir}/weft.mjs`,
    format: 'esm',
    // Not the identifiers: logs and stack traces show them.
    minifySyntax: true,
    minifyWhitespace: true,
    // CommonJS dependencies inside an ES module bundle still call require() for Node's own modules.
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
  });
  refuseWarnings(result);
  return result.metafile;
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

/** esbuild leaves them beside the bundle, or nothing where there are none. */
function takeLegalComments(bundle: string): readonly string[] {
  const path = `${outdir}/${bundle}.LEGAL.txt`;
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  rmSync(path);
  return text.trim() === '' ? [] : [text];
}

function refuseWarnings({ warnings }: BuildResult): void {
  if (warnings.length > 0) throw new Error(`bundle: ${warnings.length} warnings`);
}
