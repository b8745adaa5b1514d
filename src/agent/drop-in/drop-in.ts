import {
  existsSync,
  linkSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Refusal } from '../../cni/refusals.ts';
import { fileFailure } from '../../util/errno.ts';
import { DecodeError, IoError, toError } from '../../util/errors.ts';
import { replaceFile } from '../../util/files.ts';
import { planInstall, planUndo, type Refused, type Seat, type Step, savedName } from './plan.ts';

export interface DropInOptions {
  /** Where the runtime looks for CNI plugins. */
  readonly cniBin: string;
  /** The shim of the installed tree; one that `cniBin` holds itself goes first. */
  readonly shim: string;
  /** The plugin names weft answers to, its own among them. */
  readonly names: readonly string[];
  /** What the node's network configurations ask for and weft refuses. */
  readonly refusals: readonly Refusal[];
  readonly isUndo: boolean;
  /** Only tells what would be done. */
  readonly isDryRun: boolean;
}

const OWN_NAME = 'weft';
const NOTE_NAME = '.weft-drop-in.json';

/**
 * Puts weft in the place of the reference plugins, or with `isUndo` puts them back, and tells what
 * became of each name. A name whose plugin would refuse what a network of the node asks for stays with
 * whoever has it, so that what runs today goes on. A name is a symbolic link, because the shim finds the rest of the tree from its
 * own place with links resolved (a copy or a hard link elsewhere would not). Every name leads to one of
 * the two programs at any moment; an original is kept once and never overwritten. Doing it again
 * changes nothing. Throws WeftError DROP_IN before anything is touched, IoError.
 */
export function dropIn(options: DropInOptions): readonly Step[] {
  const { cniBin, names, refusals, isUndo, isDryRun } = options;
  const target = linkTarget(options);
  const wanted = names.filter((name) => name !== OWN_NAME || target !== OWN_NAME);
  const notes = readNotes(cniBin);
  const seats = wanted.map((name) => observe(cniBin, name, target, notes));
  const steps = isUndo ? planUndo(seats) : planInstall(seats, refusedNames(refusals));
  if (!isDryRun) apply(cniBin, steps, target, notes);
  return steps;
}

function refusedNames(refusals: readonly Refusal[]): Refused {
  const byName = Map.groupBy(refusals, ({ plugin }) => plugin);
  return new Map(
    [...byName].map(([name, all]) => [
      name,
      all.map(({ file, network, reason }) => `${file}, network "${network}": ${reason}`),
    ]),
  );
}

/** Relative in the shim's own directory, so that it is right in a container's view of it too. */
function linkTarget({ cniBin, shim, isUndo }: DropInOptions): string {
  if (!existsSync(cniBin)) throw new IoError(`no directory ${cniBin}: choose one with --cni-bin`);
  if (lstatSync(join(cniBin, OWN_NAME), { throwIfNoEntry: false })?.isFile()) return OWN_NAME;
  if (existsSync(shim)) {
    const path = realpathSync(shim);
    return dirname(path) === realpathSync(cniBin) ? basename(path) : path;
  }
  // Undoing must work when the tree was removed first.
  if (isUndo) return shim;
  throw new IoError(`no CNI executable of weft at ${shim}`);
}

type Notes = Readonly<Record<string, Seat['noted']>>;

function observe(directory: string, name: string, target: string, notes: Notes): Seat {
  const path = join(directory, name);
  const saved = join(directory, savedName(name));
  const current = currentOf(path, target);
  return { name, current, saved: savedOf(path, saved, current), noted: notes[name] };
}

function currentOf(path: string, target: string): Seat['current'] {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 'absent';
  if (!stat.isSymbolicLink()) return 'other';
  const isOurs =
    readlinkSync(path) === target || realPath(path) === realPath(resolve(path, '..', target));
  return isOurs ? 'weft' : 'other';
}

/** A link that leads nowhere is itself. */
function realPath(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}

function savedOf(path: string, saved: string, current: Seat['current']): Seat['saved'] {
  if (lstatSync(saved, { throwIfNoEntry: false }) === undefined) return 'absent';
  return current === 'other' && isSame(path, saved) ? 'same' : 'different';
}

function isSame(a: string, b: string): boolean {
  if (!existsSync(a) || !existsSync(b)) return false;
  const [left, right] = [statSync(a), statSync(b)];
  if (left.ino === right.ino && left.dev === right.dev) return true;
  return left.size === right.size && readFileSync(a).equals(readFileSync(b));
}

/** Noted before the first change: after a crash in between, a second run finishes what the first began. */
function apply(directory: string, steps: readonly Step[], target: string, notes: Notes): void {
  const changes = steps.flatMap(({ name, action }): [string, Seat['noted']][] => {
    if (action === 'create') return [[name, 'created']];
    return action === 'save' || action === 'replace' ? [[name, 'saved']] : [];
  });
  if (changes.length > 0) writeNotes(directory, { ...notes, ...Object.fromEntries(changes) });
  for (const step of steps) run(directory, step, target);
  const isUndone = steps.some(({ action }) => action === 'restore' || action === 'remove');
  if (isUndone) rmSync(join(directory, NOTE_NAME), { force: true });
}

function run(directory: string, { name, action }: Step, target: string): void {
  const path = join(directory, name);
  const saved = join(directory, savedName(name));
  try {
    if (action === 'save') linkSync(path, saved);
    if (action === 'save' || action === 'create' || action === 'replace')
      replaceByLink(path, target);
    if (action === 'restore') renameSync(saved, path);
    if (action === 'remove') rmSync(path);
    if (action === 'forget') rmSync(saved);
  } catch (cause) {
    throw new IoError(`${action} ${path}: ${fileFailure(cause)}`, {
      cause,
    });
  }
}

function replaceByLink(path: string, target: string): void {
  const fresh = `${path}.weft-new`;
  rmSync(fresh, { force: true });
  symlinkSync(target, fresh);
  renameSync(fresh, path);
}

function readNotes(directory: string): Notes {
  const file = join(directory, NOTE_NAME);
  if (!existsSync(file)) return {};
  try {
    const notes: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof notes !== 'object' || notes === null) throw new DecodeError('not an object');
    const known = Object.entries(notes).filter(
      ([, note]) => note === 'saved' || note === 'created',
    );
    return Object.fromEntries(known);
  } catch (cause) {
    throw new IoError(`read ${file}: ${toError(cause).message}`, { cause });
  }
}

function writeNotes(directory: string, notes: Notes): void {
  const file = join(directory, NOTE_NAME);
  replaceFile(file, `${JSON.stringify(notes)}\n`, { mode: 0o644 });
}
