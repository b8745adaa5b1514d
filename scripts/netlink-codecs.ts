/**
 * The codecs of the npm package netlink as ES modules, so that a bundle holds only those in use: 40 of
 * 190 KB, which the CNI executable would otherwise set up at every start.
 */
import { readFileSync } from 'node:fs';
import type { Plugin } from 'esbuild';

/** What TypeScript 4 makes of `export`, `import` and `enum` for CommonJS, and what it was made from. */
const REWRITES: readonly (readonly [RegExp, string])[] = [
  [/^"use strict";\n/, ''],
  [
    /^var __(?:createBinding|setModuleDefault|importStar|exportStar)\b[\s\S]*?^(?:\}\)\);|\};)\n/gm,
    '',
  ],
  [/^Object\.defineProperty\(exports, "__esModule".*\n/m, ''],
  [/^exports\.\w+ = .*void 0;\n/gm, ''],
  [/^__exportStar\(require\("(.*)"\), exports\);$/gm, 'export * from "$1";'],
  [/^const (\w+) = (?:__importStar\()?require\("(.*?)"\)\)?;$/gm, 'import * as $1 from "$2";'],
  [
    /^var (\w+);\n\(function \(\1\) \{([\s\S]*?)^\}\)\(\1 = exports\.\1 \|\| \(exports\.\1 = \{\}\)\);/gm,
    'export const $1 = /* @__PURE__ */ (function ($1) {$2return $1;\n})({});',
  ],
  [/^exports\.(\w+) = \1;$/gm, 'export { $1 };'],
  [/^exports\.(\w+) = /gm, 'export const $1 = '],
  [/\(0, exports\.(\w+)\)/g, '$1'],
  [/\bexports\.(\w+)/g, '$1'],
];

/** Throws when something of CommonJS is left, as another release of the package may have. */
function toEsModule(path: string): string {
  let text = readFileSync(path, 'utf8');
  for (const [pattern, replacement] of REWRITES) text = text.replace(pattern, replacement);
  const rest = /.*(?:\bexports\b|\brequire\(|__importStar|__exportStar).*/.exec(text)?.[0];
  if (rest !== undefined) throw new Error(`${path}: not an ES module yet: ${rest.slice(0, 120)}`);
  return text;
}

/** Our sources import the package as Node does, its `module.exports` as the default. */
function withNamespaceImports(path: string): string {
  const pattern = /^import (\w+)(?:, \{[^}]*\})? from '(netlink\/[^']*)';$/gm;
  return readFileSync(path, 'utf8').replace(pattern, "import * as $1 from '$2';");
}

/** An esbuild plugin. */
export const netlinkCodecs: Plugin = {
  name: 'netlink codecs',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/node_modules\/netlink\/dist\/.*\.js$/ }, ({ path }) => ({
      contents: toEsModule(path),
      loader: 'js',
    }));
    onLoad({ filter: /\/src\/netlink\/.*\.ts$/ }, ({ path }) => ({
      contents: withNamespaceImports(path),
      loader: 'ts',
    }));
  },
};
