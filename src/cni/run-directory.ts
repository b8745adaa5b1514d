/** Where journal, records, host ports and the agent's socket are: a tmpfs. */
import { accessSync, constants, lstatSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { errorCode } from '../util/errors.ts';
import { ifThere } from '../util/files.ts';
import { ensurePrivateDirectory } from '../util/private-directory.ts';
import type { Environment } from './protocol/request.ts';

export const DEFAULT_RUN_DIRECTORY = '/run/weft';

/** Writable for everybody, as /tmp is, but on a tmpfs, and nothing there goes by its age. */
const SHARED_MEMORY = '/dev/shm';

/** Names that are tried there, each of which another user may have taken. */
const MOST_NAMES = 16;

export interface RunDirectoryOptions {
  readonly env: Environment;
  /** As this process sees it: 0 for the root of a user namespace. */
  readonly uid: number;
  readonly defaultDirectory?: string;
  /** Where a user without XDG_RUNTIME_DIR has one. */
  readonly shared?: string;
}

/**
 * The run directory of a process without an agent: WEFT_RUN_DIR, else /run/weft, else, for a user who
 * may not use that, one of the user's own, which is made if need be. A rootless runtime is such a user
 * where weft runs as root, too. Throws IoError when the user's own is not the user's alone.
 */
export function chooseRunDirectory(options: RunDirectoryOptions): string {
  const { env, uid, defaultDirectory = DEFAULT_RUN_DIRECTORY, shared = SHARED_MEMORY } = options;
  const given = env['WEFT_RUN_DIR'];
  if (given !== undefined && given !== '') return given;
  if (!isForbidden(defaultDirectory)) return defaultDirectory;
  const runtime = env['XDG_RUNTIME_DIR'] ?? '';
  // The XDG specification: a path that is not absolute is not to be used.
  const own = isAbsolute(runtime)
    ? join(runtime, 'weft')
    : ownDirectoryIn(shared, `weft-${outerUid(uid)}`, uid);
  ensurePrivateDirectory('run directory', own, uid);
  return own;
}

/**
 * Where a user has a directory among everybody's: `name`, or `name-1` and so on where somebody else was
 * there before, so that nobody keeps a user from having one. The user's own that is there comes first:
 * all processes of the user have to find the same.
 */
export function ownDirectoryIn(shared: string, name: string, uid: number): string {
  const numbered = Array.from({ length: MOST_NAMES }, (_, i) => (i === 0 ? name : `${name}-${i}`));
  const found = numbered
    .map((each) => join(shared, each))
    .map((path) => ({ path, stat: ifThere(() => lstatSync(path)) }));
  const own = found.find(({ stat }) => stat?.isDirectory() === true && stat.uid === uid);
  const free = found.find(({ stat }) => stat === undefined);
  return (own ?? free)?.path ?? join(shared, name);
}

/** Whether this process may not use a directory or, while there is none, make it. */
function isForbidden(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return false;
  } catch (thrown) {
    const code = errorCode(thrown);
    return code === 'ENOENT' && path !== '/' ? isForbidden(dirname(path)) : code === 'EACCES';
  }
}

/** Everybody is 0 in a user namespace of their own; the name must not be the same for all of them. */
function outerUid(uid: number): number {
  return mappedUid(readFileSync('/proc/self/uid_map', 'utf8'), uid);
}

/** What a uid is outside, by the lines `<inside> <outside> <count>` of uid_map (user_namespaces(7)). */
export function mappedUid(map: string, uid: number): number {
  for (const line of map.trim().split('\n')) {
    const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (uid >= inside && uid < inside + count) return outside + uid - inside;
  }
  return uid;
}
