/**
 * What a check of the node has found. The JSON of `weft doctor --output json` has these names.
 */

/** `unknown`: something that it takes could not be read. */
export type Level = 'ok' | 'warning' | 'failing' | 'unknown';

export interface Finding {
  /** A word that stays, for scripts and metrics: `ip-forward`. */
  readonly check: string;
  readonly level: Level;
  /** What fails here keeps packets from their way: a node with it is not healthy. */
  readonly concernsTraffic: boolean;
  /** One sentence, without a full stop; as the others. */
  readonly seen: string;
  /** What it does to pods and Services. */
  readonly why: string;
  /** The command or setting; empty where there is nothing to put right. */
  readonly cure: string;
}

/** All findings of one look, in a constant order. */
export interface Findings {
  /** RFC 3339. */
  readonly at: string;
  readonly tookMs: number;
  readonly findings: readonly Finding[];
}

/** Whether packets are kept from their way. */
export function isFailingTraffic({ level, concernsTraffic }: Finding): boolean {
  return level === 'failing' && concernsTraffic;
}

/** Something that somebody should put right. */
export function isBad({ level }: Finding): boolean {
  return level === 'failing' || level === 'warning';
}
