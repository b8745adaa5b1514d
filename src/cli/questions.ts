/** `weft explain` and `weft diff`: questions to the agent that runs on this node. */

import { lastText } from '../agent/config/flag-text.ts';
import { parseGoDuration } from '../agent/config/go-duration.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import { differenceText, hasDifferences } from '../agent/debug/difference-text.ts';
import type { ExplainAnswer } from '../agent/debug/explain.ts';
import { explainText } from '../agent/debug/explain-text.ts';
import type { NamedPacket } from '../agent/debug/named-packet.ts';
import { type DebugRequest, type ExplainRequest, MOST_LIVE_MS } from '../agent/debug/protocol.ts';
import { ipFamily, tryParseIP } from '../net/ip.ts';
import type { TableDifference } from '../proxy/modes/nftables/difference.ts';
import type { Protocol } from '../proxy/service.ts';
import type { Packet } from '../proxy/verdict/explanation.ts';
import { UsageError } from './usage.ts';

export interface QuestionEffects {
  /** The directory of the agent where `--run-dir` names none. */
  readonly runDir: string;
  /** Asks the agent that uses this run directory; the result is that of the request's command. */
  readonly askAgent: (runDir: string, request: DebugRequest) => Promise<unknown>;
  readonly print: (text: string) => void;
}

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];
const DEFAULT_LIVE_MS = 10_000;

/** Prints what becomes of a connection. */
export async function runExplain(flags: FlagValues, effects: QuestionEffects): Promise<void> {
  const request = explainRequest(flags);
  // The agent answers a request of this command with this shape.
  const answer = (await ask(flags, request, effects)) as ExplainAnswer;
  effects.print(flags['json'] === true ? prettyJson(answer) : plain(explainText(answer)));
}

/** Prints what the agent would change now; 1 when that is something, 0 when it is nothing. */
export async function runDiff(flags: FlagValues, effects: QuestionEffects): Promise<number> {
  // The agent answers a request of this command with this shape.
  const tables = (await ask(flags, { command: 'diff' }, effects)) as readonly TableDifference[];
  effects.print(flags['json'] === true ? prettyJson(tables) : plain(differenceText(tables)));
  return hasDifferences(tables) ? 1 : 0;
}

/** The request that the flags ask for; what names mean the agent knows. Throws UsageError. */
export function explainRequest(flags: FlagValues): ExplainRequest {
  const from = parseSource(required(flags, 'from'));
  const { to, port } = parseTarget(required(flags, 'to'));
  const protocolText = lastText(flags['proto']) ?? 'tcp';
  const protocol = PROTOCOLS.find((name) => name === protocolText.toLowerCase());
  if (protocol === undefined) {
    throw new UsageError(`--proto: expected tcp, udp or sctp, found "${protocolText}"`);
  }
  const inInterface = lastText(flags['in-interface']);
  const packet = packetBetween(from, to, port, protocol);
  return {
    command: 'explain',
    packet: inInterface === undefined ? packet : { ...packet, inInterface },
    liveTimeoutMs: liveTimeout(flags),
  };
}

function packetBetween(
  from: string,
  to: string,
  port: string,
  protocol: Protocol,
): Packet | NamedPacket {
  const source = tryParseIP(from);
  const destination = tryParseIP(to);
  if (source === undefined || destination === undefined) return { from, to, port, protocol };
  if (ipFamily(source) !== ipFamily(destination)) {
    throw new UsageError(`--from ${source} and --to ${destination} are of different IP families`);
  }
  return { source, destination, protocol, port: Number(port) };
}

function ask(flags: FlagValues, request: DebugRequest, effects: QuestionEffects): Promise<unknown> {
  return effects.askAgent(lastText(flags['run-dir']) ?? effects.runDir, request);
}

function required(flags: FlagValues, name: string): string {
  const text = lastText(flags[name]);
  if (text === undefined) throw new UsageError(`--${name} is missing; see weft explain --help`);
  return text;
}

/** `namespace/name` or `node/name`. */
const NAME = /^[^/:\s]+\/[^/:\s]+$/;

function parseSource(text: string): string {
  if (tryParseIP(text) !== undefined || NAME.test(text)) return text;
  throw new UsageError(`--from: expected an IP address or NAMESPACE/POD, found "${text}"`);
}

function parseTarget(text: string): { readonly to: string; readonly port: string } {
  const [, bracketed, bare, port = ''] = /^(?:\[([^\]]*)\]|([^:]*)):([^:\s]+)$/.exec(text) ?? [];
  const to = bracketed ?? bare ?? '';
  const isNumber = /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535;
  const isAddress = tryParseIP(to) !== undefined;
  if (isAddress ? isNumber : bracketed === undefined && NAME.test(to)) return { to, port };
  throw new UsageError(
    `--to: expected 10.96.0.1:80, [fd00::1]:80 or NAMESPACE/SERVICE:PORT, found "${text}"`,
  );
}

function liveTimeout(flags: FlagValues): number | undefined {
  const text = lastText(flags['timeout']);
  if (flags['live'] !== true) {
    if (text !== undefined)
      throw new UsageError('--timeout says how long --live waits; add --live');
    return undefined;
  }
  const timeoutMs = text === undefined ? DEFAULT_LIVE_MS : parseGoDuration(text);
  if (timeoutMs === undefined || timeoutMs <= 0 || timeoutMs > MOST_LIVE_MS) {
    const most = `${MOST_LIVE_MS / 1000}s`;
    throw new UsageError(`--timeout: expected a duration up to ${most}, found "${text}"`);
  }
  return timeoutMs;
}

export function prettyJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Names come from objects that anybody may have written: no escape sequences into a terminal. */
export function plain(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, '?');
}
