/** Flows in words, for the terminal: pure. */
import { formatHostPort } from '../../net/host-port.ts';
import { wrapped } from '../../util/text-layout.ts';
import type { FlowCounts, FlowEvent, FlowParty } from './flow-event.ts';

const KIND_WIDTH = 'refused'.length;
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** One event, as `weft flows` prints it; with addresses beside the names when `isWide`. */
export function flowText(event: FlowEvent, { isWide }: { readonly isWide: boolean }): string {
  const time = `${event.at.slice(11, 19)}  ${event.kind.padEnd(KIND_WIDTH)}  `;
  const [head, more] = [routeText(event, isWide), outcomeText(event)];
  if (isWide) return `${time}${head}  ${more}\n`;
  const next = ' '.repeat(time.length);
  return [...wrapped(head, { first: time, next }), ...wrapped(more, { first: next, next })]
    .map((line) => `${line}\n`)
    .join('');
}

/** What the kernel did not hand over, and what was not read in time; '' for nothing. */
export function lossText({
  lost,
  overwritten,
}: {
  readonly lost: number;
  readonly overwritten: number;
}): string {
  const losses = [
    ...(lost === 0 ? [] : [`${lost} or more events lost in the kernel: too many at once`]),
    ...(overwritten === 0 ? [] : [`${overwritten} events lost: this reader is too slow`]),
  ];
  return losses.map((text) => `! ${text}\n`).join('');
}

export function noticeText(notice: string): string {
  return wrapped(notice, { first: '! ', next: '  ' })
    .map((line) => `${line}\n`)
    .join('');
}

function routeText({ from, to, endpoint, protocol }: FlowEvent, isWide: boolean): string {
  const name = (party: FlowParty) => partyText(party, isWide);
  const sentOn = endpoint === undefined ? '' : ` (${name(endpoint)})`;
  return `${name(from)} -> ${name(to)}${sentOn}/${protocol.toLowerCase()}`;
}

/** `shop/web-1:8080`, `shop/web:http`, `node/a:22`, `pods of b=10.1.1.5:80` or the address. */
function partyText({ ip, port, pod, service, node, podsOf }: FlowParty, isWide: boolean): string {
  const address = port === undefined ? ip : formatHostPort(ip, port);
  const at = port === undefined ? '' : `:${port}`;
  const name =
    service ??
    (pod === undefined ? (node === undefined ? undefined : `node/${node}${at}`) : `${pod}${at}`);
  if (name === undefined) return podsOf === undefined ? address : `pods of ${podsOf}=${address}`;
  return isWide ? `${name}=${address}` : name;
}

function outcomeText(event: FlowEvent): string {
  const { verdict, sent, received, durationMs, reason, policies = [], attempts = 1 } = event;
  return [
    policies.length === 0 ? verdict : `${verdict} by ${policies.join(', ')}`,
    ...(sent === undefined || received === undefined ? [] : countTexts(sent, received)),
    ...(durationMs === undefined ? [] : [durationText(durationMs)]),
    ...(attempts === 1 ? [] : [`${attempts} packets`]),
    ...(reason === undefined ? [] : [reason]),
  ].join(', ');
}

function countTexts(sent: FlowCounts, received: FlowCounts): readonly string[] {
  return [`${bytesText(sent.bytes)} sent`, `${bytesText(received.bytes)} received`];
}

function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

function durationText(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
