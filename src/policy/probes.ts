/** Questions that people and pipelines ask: who, to whom, over what. */
import { type IPFamily, ipFamily } from '../net/ip.ts';
import { DecodeError } from '../util/errors.ts';
import { parseJson } from '../util/json.ts';
import type { Verdict } from './evaluator.ts';
import type { Party } from './parties.ts';
import type { Probe, ProbeAnswer } from './probe.ts';
import { serviceAnswer } from './service-probes.ts';
import { verdictText } from './verdict-text.ts';
import type { PolicyWorld } from './world.ts';

const PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'ICMP'] as const;
const MAX_PORT = 65_535;

/** Parses `shop/cart -> shop/db:5432/tcp`; the protocol is TCP where it is left out. Throws DecodeError. */
export function parseProbe(text: string, allowed: boolean): Probe {
  const [, from = '', target = ''] = /^\s*(\S+)\s*(?:->|→)\s*(\S+)\s*$/.exec(text) ?? [];
  const [, bare = '', port = '', protocol = 'tcp'] =
    /^(.+?)(?::(\d{1,5}))?(?:\/(tcp|udp|sctp|icmp))?$/i.exec(target) ?? [];
  const to = bare.replace(/^\[(.*)\]$/, '$1');
  if (from === '' || to === '') throw malformed(text);
  return checked({ from, to, protocol: protocol.toUpperCase(), port: Number(port), allowed }, text);
}

/** Parses one JSON line. Throws DecodeError. */
export function parseProbeLine(line: string): Probe {
  const value = parseJson(line);
  if (typeof value !== 'object' || value === null) throw malformed(line);
  const { from, to, protocol, port, family, allowed } = value as Readonly<Record<string, unknown>>;
  return checked({ from, to, protocol: protocol ?? 'TCP', port: port ?? 0, family, allowed }, line);
}

function checked(probe: Readonly<Record<keyof Probe, unknown>> | object, text: string): Probe {
  const { from, to, protocol, port, family, allowed } = probe as Partial<
    Record<keyof Probe, unknown>
  >;
  const known = PROTOCOLS.find((name) => name === protocol);
  const lowest = known === 'ICMP' ? 0 : 1;
  const isPort =
    typeof port === 'number' && Number.isInteger(port) && port >= lowest && port <= MAX_PORT;
  const isFamily = family === undefined || family === 4 || family === 6;
  const isExpectation = allowed === undefined || typeof allowed === 'boolean';
  if (typeof from !== 'string' || typeof to !== 'string') throw malformed(text);
  if (known === undefined || !isPort || !isFamily || !isExpectation) throw malformed(text);
  return { from, to, protocol: known, port: known === 'ICMP' ? 0 : port, family, allowed };
}

function malformed(text: string): DecodeError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}...` : text;
  return new DecodeError(
    `${JSON.stringify(shown)}: expected a probe such as "shop/cart -> shop/db:5432/tcp" or ` +
      '{"from":"shop/cart","to":"shop/db","protocol":"TCP","port":5432}',
  );
}

/** Answers one question by the policies of a moment. */
export function answerProbe(probe: Probe, world: PolicyWorld): ProbeAnswer {
  const { parties, services } = world;
  const from = parties.resolve(probe.from);
  if ('problem' in from) return { error: from.problem };
  const to = parties.resolve(probe.to);
  const isSomebody = !('problem' in to) && to.kind !== 'address';
  const service = isSomebody ? undefined : services?.named(probe.to);
  if (service !== undefined) {
    return 'problem' in service
      ? { error: service.problem }
      : serviceAnswer(probe, from, service, world);
  }
  if ('problem' in to) return { error: to.problem };
  const { allowed, reason } = directAnswer(probe, from, to, world);
  const note = isSomebody ? undefined : services?.noteOnAddress;
  return { allowed, reason: note === undefined ? reason : `${reason}; ${note}` };
}

function directAnswer(probe: Probe, from: Party, to: Party, { evaluator }: PolicyWorld) {
  const families = probe.family === undefined ? commonFamilies(from, to) : [probe.family];
  const [first, ...others] = families.map((family) => {
    const connection = { from, to, protocol: probe.protocol, port: probe.port, family };
    const verdict = evaluator.verdict(connection);
    return { family, verdict, text: verdictText(verdict, probe) };
  });
  if (first === undefined) {
    return {
      allowed: false,
      reason: `${probe.from} and ${probe.to} have no address family in common`,
    };
  }
  const differing = others.filter(({ verdict }) => verdict.isAllowed !== first.verdict.isAllowed);
  const also = differing.map(({ family, verdict, text }) => otherFamily(family, verdict, text));
  return { allowed: first.verdict.isAllowed, reason: [first.text, ...also].join('; ') };
}

function otherFamily(family: IPFamily, { isAllowed }: Verdict, text: string): string {
  return `over IPv${family} ${isAllowed ? 'allowed' : 'denied'}: ${text}`;
}

/** In the destination's order. Pods that have no address yet are judged as IPv4: selectors need none. */
function commonFamilies(from: Party, to: Party): readonly IPFamily[] {
  if (from.ips.length === 0 || to.ips.length === 0) return [4];
  const ofSource = new Set(from.ips.map(ipFamily));
  return [...new Set(to.ips.map(ipFamily))].filter((family) => ofSource.has(family));
}
