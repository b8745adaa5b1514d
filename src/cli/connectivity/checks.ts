/** What `weft connectivity-test` tries, and whether an answer of the agent is as it should be. Pure. */

import type { Content } from '../../agent/debug/explain/live/send.ts';
import type { ExplainAnswer } from '../../agent/debug/explain.ts';
import type { ExplainRequest } from '../../agent/debug/questions/explain.ts';
import { formatHostPort } from '../../net/host-port.ts';
import type { IP } from '../../net/ip.ts';
import type { Protocol } from '../../proxy/service.ts';

/**
 * `reached`: whoever is there answers. `arrives`: the packet comes to the other end, whatever is said there;
 * for packets that nobody listens for. `denied`: policies keep it from there.
 */
export type Expected = 'reached' | 'arrives' | 'denied';

export interface ConnectivityCheck {
  /** `pod to pod, this node` */
  readonly title: string;
  readonly from: IP;
  readonly to: IP;
  readonly port: number;
  readonly protocol: Exclude<Protocol, 'sctp'>;
  readonly content: Content;
  readonly expected: Expected;
}

/** Something that could not be tried, and why. */
export interface SkippedCheck {
  readonly title: string;
  readonly why: string;
}

export interface Plan {
  readonly checks: readonly ConnectivityCheck[];
  readonly skipped: readonly SkippedCheck[];
}

export interface CheckResult {
  readonly check: ConnectivityCheck;
  readonly isGood: boolean;
  /** In one line; empty where it is good. */
  readonly why: string;
  /** Of the agent; absent where it could not answer. */
  readonly answer?: ExplainAnswer;
}

/** A packet that is put on a link is seen at once, or never. */
const LIVE_MS = 2_000;

export function requestOf(check: ConnectivityCheck): ExplainRequest {
  const { from: source, to: destination, port, protocol, content } = check;
  return {
    command: 'explain',
    packet: { source, destination, port, protocol },
    liveTimeoutMs: LIVE_MS,
    content,
  };
}

export function judge(check: ConnectivityCheck, answer: ExplainAnswer): CheckResult {
  const why = whyNot(check, answer);
  return { check, isGood: why === '', why, answer };
}

export function failedCheck(check: ConnectivityCheck, message: string): CheckResult {
  return { check, isGood: false, why: message };
}

/** What people read of both ends. */
export function checkText({ from, to, port, protocol }: ConnectivityCheck): string {
  return `${from} -> ${formatHostPort(to, port)}/${protocol}`;
}

function whyNot({ expected, content, protocol }: ConnectivityCheck, answer: ExplainAnswer): string {
  const { live, outcome, policies = [] } = answer;
  const stop = answer.causes.find(({ effect }) => effect === 'drops' || effect === 'refuses');
  if (live === undefined) return stop?.seen ?? 'no packet was sent';
  if (live === null) return 'the packet was sent, and never came to the rules of this node';
  if (expected === 'denied') {
    const isDenied = live.outcome.kind === 'denied' || policies.some(({ isAllowed }) => !isAllowed);
    if (outcome === 'dropped' && isDenied) return '';
    return `it should be denied, and is ${outcome}`;
  }
  const { reply } = live;
  const isBack = reply?.outcome.kind === 'sent' || reply?.outcome.kind === 'delivered';
  if (reply?.kind === 'tooBig') return 'a link on the way passes only smaller packets';
  if (expected === 'arrives' && isBack) return '';
  if (expected === 'reached' && outcome === 'allowed' && (protocol === 'tcp' || isBack)) return '';
  const cause = [...live.causes, ...answer.causes][0]?.seen;
  if (content === 'full' && !reply) return 'a packet as large as pods send them does not arrive';
  return cause ?? (reply === null ? 'nobody answers' : `it is ${outcome}`);
}
