import type { CniNode } from '../node.ts';
import { CniError, type CniErrorCode } from '../protocol/errors.ts';
import type { BridgeConfig } from './config.ts';

/** Throws CniError with `code` where the configuration wants the fabric and it is not there yet. */
export function requireFabric(
  { fabric }: BridgeConfig,
  { fabricGate }: CniNode,
  code: CniErrorCode,
): void {
  const awaited = fabric ? fabricGate.awaited() : undefined;
  if (awaited === undefined) return;
  throw new CniError(code, `the fabric of this node is not ready yet: ${awaited}`);
}
