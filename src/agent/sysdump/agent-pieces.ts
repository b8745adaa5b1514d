/** What the running agent tells of itself; without one what is on record. */
import { prettyJson } from '../../util/json.ts';
import { maskedValue } from './masked.ts';
import type { Piece } from './piece.ts';

/** Asks the agent; throws where none answers. */
export type Ask = (
  request: { readonly command: string } & Record<string, unknown>,
) => Promise<unknown>;

/** What is found without an agent. */
export interface OnRecord {
  readonly diskStatus: () => Promise<unknown>;
  readonly checks: () => Promise<unknown>;
  readonly records: () => Promise<unknown>;
}

interface Part {
  readonly items: readonly unknown[];
  readonly next?: string;
}

interface FlowPart {
  readonly reader: string;
  readonly events: readonly unknown[];
  readonly isDone: boolean;
}

const MOST_LISTED = 20_000;
const MOST_FLOWS = 20_000;

export function agentPieces(ask: Ask, onRecord: OnRecord): readonly Piece[] {
  const one = (file: string, command: string, more: object = {}): Piece => ({
    name: `agent/${file}.json`,
    read: async () => prettyJson(await ask({ ...more, command })),
  });
  const list = (file: string, command: string, more: object = {}): Piece => ({
    name: `agent/${file}.json`,
    read: () => listText(ask, { ...more, command }),
  });
  return [
    one('status', 'status'),
    one('doctor', 'doctor'),
    { name: 'agent/configuration.json', read: async () => configurationText(ask) },
    { name: 'agent/log.jsonl', read: async () => logText(ask) },
    one('pods', 'pods'),
    list('services', 'services'),
    list('endpoints', 'endpoints', { isLeftOutOnly: false }),
    one('nodes', 'nodes'),
    list('ips', 'ips'),
    one('diff', 'diff'),
    one('policies', 'policy list'),
    one('denied', 'policy denied'),
    one('bgp', 'bgp'),
    { name: 'agent/flows.jsonl', read: () => flowsText(ask) },
    { name: 'on-record/status.json', read: async () => prettyJson(await onRecord.diskStatus()) },
    { name: 'on-record/doctor.json', read: async () => prettyJson(await onRecord.checks()) },
    {
      name: 'on-record/attachments.json',
      read: async () => prettyJson(maskedValue(await onRecord.records())),
    },
  ];
}

async function configurationText(ask: Ask): Promise<string> {
  // The agent answers with an object of settings.
  return prettyJson(maskedValue(await ask({ command: 'configuration' })));
}

async function logText(ask: Ask): Promise<string> {
  // As the agent answers this question: lines, each with its line feed.
  const lines = (await ask({ command: 'log' })) as readonly string[];
  return lines.join('');
}

async function listText(ask: Ask, request: { readonly command: string }): Promise<string> {
  const items: unknown[] = [];
  for (let after: string | undefined; ; ) {
    // Every list has this shape.
    const part = (await ask({ ...request, ...(after === undefined ? {} : { after }) })) as Part;
    items.push(...part.items);
    after = part.next;
    if (after === undefined || items.length >= MOST_LISTED) {
      return prettyJson({ items, ...(after === undefined ? {} : { next: after }) });
    }
  }
}

/** Those that there are; the last part is asked for only while there is room. */
async function flowsText(ask: Ask): Promise<string> {
  const lines: string[] = [];
  // As the agent answers these questions.
  let part = (await ask({
    command: 'flows',
    query: { isNode: true },
    isFollowed: false,
  })) as FlowPart;
  const add = ({ events }: FlowPart) => {
    for (const event of events) lines.push(`${JSON.stringify(event)}\n`);
  };
  add(part);
  while (!part.isDone && lines.length < MOST_FLOWS) {
    part = (await ask({ command: 'more flows', reader: part.reader })) as FlowPart;
    add(part);
  }
  return lines.join('');
}
