/** The import rules of the project as data, and the check that reads them out of source text. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Lowest first: a folder may import from its own layer's folder and from layers before it. */
export const LAYERS: readonly (readonly string[])[] = [
  ['net'],
  ['util'],
  ['netlink'],
  ['nftables', 'iptables'],
  ['kernel'],
  ['kube', 'ipam'],
  ['cni', 'proxy', 'fabric', 'policy', 'routing'],
  ['agent'],
  ['ui', 'cli'],
];

/** The same for files and folders of `src/agent`. */
export const AGENT_LAYERS: readonly (readonly string[])[] = [
  ['version', 'config-paths', 'run-dir', 'lifecycle', 'descriptors', 'problems', 'supervisor'],
  ['process-warnings', 'resident-memory', 'config', 'file-watch', 'sysdump'],
  ['live-config', 'status', 'foreign', 'drop-in'],
  ['metrics'],
  ['http', 'pod-masquerade'],
  ['context'],
  ['objects'],
  ['cluster-context'],
  ['proxy', 'fabric', 'policy', 'routing'],
  ['addresses', 'sysctl-record'],
  ['cni-component'],
  ['running-parts', 'flows'],
  ['checks'],
  ['debug'],
  ['page'],
  ['questions', 'servers', 'agent-status', 'cleanup'],
  ['agent'],
];

/** npm packages and the only places that may import them. */
export const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'ip-cidr': ['net/configured-cidr.ts'],
  nanotar: ['agent/sysdump/'],
  netlink: ['netlink/'],
  pino: ['util/log.ts'],
  'prom-client': ['agent/'],
  'yargs-parser': ['cli/'],
  yaml: ['kube/', 'agent/config/'],
  ajv: ['cni/', 'agent/config/'],
  preact: ['ui/'],
  htm: ['ui/'],
};

export interface SourceFile {
  /** Below src, with slashes: `kernel/netns.ts`. */
  readonly path: string;
  readonly text: string;
}

/** All TypeScript sources below `root`. */
export function readSources(root: string): SourceFile[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** One line per violated rule, empty when all hold. */
export function findImportViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => [
    ...importsOf(file.text).flatMap((target) => {
      const problem = violation(file.path, target);
      return problem === undefined ? [] : [`${file.path} imports ${target}: ${problem}`];
    }),
    ...pageViolations(file),
    ...(/(^|\/)index\.ts$/.test(file.path) ? [`${file.path}: barrel files are not used`] : []),
  ]);
}

/** Import cycles between files, each as `a -> b -> a`. */
export function findCycles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.map((file) => [
      file.path,
      importsOf(file.text)
        .filter((target) => target.startsWith('.'))
        .map((target) => resolveFrom(file.path, target)),
    ]),
  );
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return cycles;
}

/** The page runs in a browser: of the agent it knows types. */
function pageViolations({ path, text }: SourceFile): readonly string[] {
  if (folderOf(path) !== 'ui') return [];
  const code = text.replace(/^import type\b[^;]*;/gm, '');
  const values = importsOf(code).filter((target) => target.startsWith('.'));
  const folders = values.map((target) => folderOf(resolveFrom(path, target)));
  return folders.some((folder) => folder !== 'ui') ? [`${path}: imports more than types`] : [];
}

function importsOf(text: string): string[] {
  const pattern =
    /^(?:import|export)\b[^;]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;
  return [...text.matchAll(pattern)].flatMap((match) => match[1] ?? match[2] ?? match[3] ?? []);
}

function resolveFrom(file: string, target: string): string {
  return relative('/', join('/', dirname(file), target));
}

function violation(file: string, target: string): string | undefined {
  if (target.startsWith('node:')) return undefined;
  if (!target.startsWith('.')) return packageViolation(file, target);
  if (file === 'agent/version.ts' && target.endsWith('/package.json')) return undefined;
  const to = resolveFrom(file, target);
  const within = folderOf(file) === 'agent' && folderOf(to) === 'agent';
  return within
    ? layerViolation(AGENT_LAYERS, roomOf(file), roomOf(to))
    : layerViolation(LAYERS, folderOf(file), folderOf(to));
}

function layerViolation(
  layers: readonly (readonly string[])[],
  from: string,
  to: string,
): string | undefined {
  if (from === to) return undefined;
  const layerOf = (name: string) => layers.findIndex((names) => names.includes(name));
  const [fromLayer, toLayer] = [layerOf(from), layerOf(to)];
  if (fromLayer < 0 || toLayer < 0) return `${fromLayer < 0 ? from : to} has no layer`;
  if (fromLayer === toLayer) return `${from} and ${to} stand side by side`;
  return fromLayer < toLayer ? `${to} is above ${from}` : undefined;
}

function packageViolation(file: string, target: string): string | undefined {
  const [name = ''] = target.split('/');
  const places = PACKAGES[name];
  if (places === undefined) return `package ${name} is not one of the project's`;
  const isAllowed = places.some((place) => file.startsWith(place));
  return isAllowed ? undefined : `package ${name} belongs to ${places.join(', ')}`;
}

function folderOf(path: string): string {
  return path.split('/')[0] ?? '';
}

/** A file or folder of `src/agent`, without the ending. */
function roomOf(path: string): string {
  return (path.split('/')[1] ?? '').replace(/\.ts$/, '');
}
