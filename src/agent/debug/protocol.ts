/**
 * Questions to a running agent: one line of JSON to `<run directory>/agent.sock`, one line of JSON
 * back. Requests are `{"command": "status", ...}`, answers `{"result": ...}` or
 * `{"error": {"code", "message"}}`.
 */
import { join } from 'node:path';

/** A request; a file of `questions/` says which fields it has besides. */
export interface DebugRequest {
  readonly command: string;
  /** How much longer than usual the answer may take. */
  readonly liveTimeoutMs?: number | undefined;
}

export type DebugAnswer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };

export const MOST_REQUEST_BYTES = 16 * 1024;
export const MOST_LIVE_MS = 60_000;

export function debugSocketPath(runDir: string): string {
  return join(runDir, 'agent.sock');
}
