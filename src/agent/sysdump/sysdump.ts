import { type Clock, systemClock } from '../../util/clock.ts';
import { type Ask, agentPieces, type OnRecord } from './agent-pieces.ts';
import { bundleOf, writeBundle } from './bundle.ts';
import { nodePieces } from './node-pieces.ts';
import { type Bounds, collect, type PieceOutcome } from './piece.ts';

export interface SysdumpOptions {
  /** Of the file; `.tar.gz`. */
  readonly path: string;
  /** Everything is in one directory of that name. */
  readonly directory: string;
  readonly runDir: string;
  readonly cniConfDir: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly ask: Ask;
  readonly onRecord: OnRecord;
  readonly bounds?: Bounds;
}

/** Collects what is known of this node, with an agent or without, and writes it. Throws IoError. */
export async function sysdump(
  options: SysdumpOptions,
  clock: Clock = systemClock,
): Promise<readonly PieceOutcome[]> {
  const { ask, onRecord, bounds } = options;
  const pieces = [...agentPieces(ask, onRecord), ...nodePieces(options)];
  const collected = await collect(pieces, clock, bounds);
  writeBundle(options.path, await bundleOf(options.directory, collected, clock.now()));
  return collected.outcomes;
}
