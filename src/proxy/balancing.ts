/**
 * How connections are spread over a Service's endpoints, by annotations of the Service:
 *
 *     weft.dev/balance: random | source-hash
 *     weft.dev/weights: 10.0.0.5=3, node/worker-2=2, zone/eu-1a=0
 *     weft.dev/ipvs-scheduler: wlc
 *     weft.dev/ipvs-scheduler: mh, port, fallback
 *
 * A weight is a whole number from 0 to 100; the rule for an endpoint's address comes before the one
 * for its node, that before the one for its zone, and without a rule the weight is 1. Endpoints of
 * weight 0 are used only when there are no others.
 *
 * The scheduler holds in IPVS mode and comes before `weft.dev/balance` there. `sh` and `mh` take two
 * flags: `port`, the client's port decides too; `fallback`, who cannot take a connection is replaced.
 */
import {
  BALANCE_ANNOTATION,
  IPVS_SCHEDULER_ANNOTATION,
  WEIGHTS_ANNOTATION,
} from '../kube/resources.ts';
import type { Service } from '../kube/types.ts';
import { tryParseIP } from '../net/ip.ts';

/** Whether chance or the client's address decides on the endpoint of a new connection. */
export type Balance = 'random' | 'source-hash';

export interface WeightRule {
  readonly kind: 'address' | 'node' | 'zone';
  readonly name: string;
  readonly weight: number;
}

/** What the kernel has (net/netfilter/ipvs/Kconfig), each a module of its own: `ip_vs_<name>`. */
const IPVS_SCHEDULERS: readonly string[] = [
  ...['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'dh'],
  ...['sh', 'mh', 'sed', 'nq', 'fo', 'ovf', 'twos'],
];

type SchedulerFlag = 'port' | 'fallback';

export interface IpvsScheduling {
  readonly scheduler: string;
  readonly flags: readonly SchedulerFlag[];
}

export interface Balancing {
  readonly balance: Balance;
  readonly weights: readonly WeightRule[];
  /** Absent: by the balance, or as it is configured for all Services. */
  readonly ipvsScheduling?: IpvsScheduling;
}

const MOST_WEIGHT = 100;
/** Schedulers that have flags. */
const HASHING: readonly string[] = ['sh', 'mh'];

/** Reads the annotations. One with a mistake counts as absent; `problems` says what to mend. */
export function parseBalancing({ metadata }: Service): Balancing & {
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  const balance = metadata.annotations?.[BALANCE_ANNOTATION]?.trim() ?? 'random';
  const isKnown = balance === 'random' || balance === 'source-hash';
  if (!isKnown) {
    problems.push(`${BALANCE_ANNOTATION} is ${JSON.stringify(balance)}: use random or source-hash`);
  }
  const weights = parseWeights(metadata.annotations?.[WEIGHTS_ANNOTATION] ?? '');
  if (typeof weights === 'string') problems.push(`${WEIGHTS_ANNOTATION}: ${weights}`);
  const scheduling = parseScheduling(metadata.annotations?.[IPVS_SCHEDULER_ANNOTATION]);
  if (typeof scheduling === 'string') problems.push(`${IPVS_SCHEDULER_ANNOTATION} ${scheduling}`);
  return {
    balance: isKnown ? balance : 'random',
    weights: typeof weights === 'string' ? [] : weights,
    ...(typeof scheduling === 'object' ? { ipvsScheduling: scheduling } : {}),
    problems,
  };
}

/** A mistake as text. */
function parseScheduling(text: string | undefined): IpvsScheduling | string | undefined {
  if (text === undefined) return undefined;
  const [scheduler = '', ...words] = text.split(',').map((word) => word.trim());
  if (!IPVS_SCHEDULERS.includes(scheduler)) {
    return `is ${JSON.stringify(scheduler)}: use one of ${IPVS_SCHEDULERS.join(', ')}`;
  }
  const flags = words.filter((word) => word === 'port' || word === 'fallback');
  if (flags.length < words.length || (flags.length > 0 && !HASHING.includes(scheduler))) {
    return `has ${JSON.stringify(text)}: use port and fallback, with sh or mh only`;
  }
  return { scheduler, flags };
}

/** A mistake as text: what is wrong and what is right. */
function parseWeights(text: string): readonly WeightRule[] | string {
  const rules: WeightRule[] = [];
  for (const part of text.split(',')) {
    const entry = part.trim();
    if (entry === '') continue;
    const [, subject = '', digits = ''] = /^([^=]+)=\s*(\d{1,3})$/.exec(entry) ?? [];
    const weight = Number(digits);
    if (digits === '' || weight > MOST_WEIGHT) {
      return `${JSON.stringify(entry)}: use <subject>=<whole number from 0 to ${MOST_WEIGHT}>`;
    }
    const rule = parseSubject(subject.trim());
    if (rule === undefined) {
      return `${JSON.stringify(entry)}: use an address, node/<name> or zone/<name>`;
    }
    if (rules.some(({ kind, name }) => kind === rule.kind && name === rule.name)) {
      return `${JSON.stringify(entry)}: named twice, keep one of them`;
    }
    rules.push({ ...rule, weight });
  }
  return rules;
}

function parseSubject(text: string): Pick<WeightRule, 'kind' | 'name'> | undefined {
  const [, kind, name = ''] = /^(node|zone)\/(\S+)$/.exec(text) ?? [];
  if (kind === 'node' || kind === 'zone') return { kind, name };
  const ip = tryParseIP(text);
  return ip === undefined ? undefined : { kind: 'address', name: ip };
}
