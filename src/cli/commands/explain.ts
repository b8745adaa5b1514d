/** `weft explain`: what becomes of a connection, asked of the agent that runs on this node. */

import { lastText } from '../../agent/config/flag-text.ts';
import { parseGoDuration } from '../../agent/config/go-duration.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { OUTCOME_EXIT_CODES } from '../../agent/debug/explain/outcome.ts';
import type { ExplainAnswer } from '../../agent/debug/explain.ts';
import { explainText } from '../../agent/debug/explain-text.ts';
import type { NamedPacket } from '../../agent/debug/named-packet.ts';
import { MOST_LIVE_MS } from '../../agent/debug/protocol.ts';
import type { ExplainRequest } from '../../agent/debug/questions/explain.ts';
import { ipFamily, tryParseIP } from '../../net/ip.ts';
import type { Protocol } from '../../proxy/service.ts';
import type { Packet } from '../../proxy/verdict/explanation.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import type { Declaration } from '../declaration.ts';
import { declareOutputAndJson, wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, plain, type QuestionEffects, textFlags } from '../question.ts';
import { UsageError } from '../usage.ts';

const EPILOGUE = `Asks the running agent for the decisions it makes for such a connection, in order, and the verdict:
which map has it, who may answer with which share, and whose address the endpoint sees. They come
from the values that the rules are made from. Then the way of request and reply behind the rules:
routing, rp_filter, forwarding, the bridge, the fabric, what fits into the way; what stops packets
there is named with its cure.

--live looks at what happens: it waits for a packet from --from to --to, or with --send sends one (a
SYN, or an empty datagram, from inside the pod or from this node), and follows it and its answer
through every table of nftables, of weft and of others. Rules of iptables-legacy are told by their
counters. Where no answer comes the endpoint is asked: it answers, refuses or is silent. In mode userspace
it says who listens at the address of the Service, and how each endpoint answers the agent; in mode ipvs
what the virtual server leads to, and where connection tracking says that this packet was led. A kernel
without nf_tables reports no rules: there connection tracking tells, in every mode.

Where the agent enforces policies they are asked about every endpoint: which one decides, or that none
allows it. A name is that of a Service, of a pod, or node/NAME; a port can be named too.

The exit code is 0 for allowed, 3 for refused, 4 for dropped, 5 where rules or the kernel of this node did
something else with a packet than the model says, 1 for a failure and 2 for a wrong command line. Of several endpoints the worst counts.

Examples:
  weft explain --from shop/cart --to shop/db:postgres
  weft explain --from node/worker-1 --to shop/db:5432
  weft explain --from 203.0.113.9 --to 192.168.0.1:30080 --proto udp
  weft explain --from shop/cart --to shop/db:postgres --live --send
  weft explain --from 10.1.0.2 --to 10.96.0.1:80 --live --timeout 30s`;

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];
const DEFAULT_LIVE_MS = 10_000;

export const explainCommand: Command = {
  name: 'explain',
  describe: 'Tell what becomes of a connection, and why',
  declare,
  run: runExplain,
};

function declare(declaration: Declaration): Declaration {
  const text = textFlags(declaration);
  declaration
    .usage('weft explain --from IP|POD|NODE --to IP|SERVICE|POD|NODE:PORT [flags]')
    .epilogue(EPILOGUE)
    .option('live', { type: 'boolean', describe: 'Wait for such a packet and tell where it went' })
    .option('send', { type: 'boolean', describe: 'With --live: send one, do not wait for it' });
  text('from', 'Address of the client, NAMESPACE/POD or node/NAME');
  text('to', 'Address and port, [fd00::1]:80 for IPv6, or NAMESPACE/NAME:PORT');
  text('proto', 'tcp, udp or sctp [default: tcp]');
  text('in-interface', 'Interface it comes in by [default: the one its route leads to]');
  text('timeout', 'How long --live waits, up to 60s [default: 10s]');
  return declareRunDir(declareOutputAndJson(declaration));
}

/** Prints what becomes of a connection; the exit code says it too. */
export async function runExplain(flags: FlagValues, effects: QuestionEffects): Promise<number> {
  const isJson = wantsJson(flags);
  const request = explainRequest(flags);
  // The agent answers a request of this command with this shape.
  const answer = (await ask(flags, request, effects)) as ExplainAnswer;
  effects.print(isJson ? prettyJson(answer) : plain(explainText(answer)));
  return OUTCOME_EXIT_CODES[answer.outcome];
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
    ...(flags['send'] === true ? { content: 'empty' } : {}),
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
    if (flags['send'] === true) throw new UsageError('--send is for --live; add --live');
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
