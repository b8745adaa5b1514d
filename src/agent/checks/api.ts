/** What keeps the agent from the API server, or will. Pure. */
import { missingRule } from '../../kube/api/failure-words.ts';
import type { Failing } from '../../kube/api/reflector.ts';
import { type Check, type Fact, known } from './check.ts';

export interface ApiFacts {
  /** `API server 10.0.0.1:6443`; undefined: objects come from files, or no agent was asked. */
  readonly location: string | undefined;
  /** By kind of object, without those that fail only for a moment. */
  readonly failing: readonly Failing[];
  /** By `Clock.elapsed`. */
  readonly nowMs: number;
  /** Objects of the last run stand in. */
  readonly isRestored: boolean;
  /** What the server's clock is before ours; undefined before an answer. */
  readonly skewMs: number | undefined;
  /** It is known how it is reached. */
  readonly hasCertificates: boolean;
  /** Ours, and the authority that is trusted. */
  readonly certificates: Fact<readonly ReadCertificate[]>;
  /** What the server shows; undefined where nobody had to look. */
  readonly serverCertificate: Fact<ReadCertificate | undefined>;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  /** Why no Node is this one; undefined where one is. */
  readonly nodeProblem: string | undefined;
}

export interface ReadCertificate {
  readonly role: 'client' | 'authority' | 'server';
  /** For people: a file, or where else it is. */
  readonly place: string;
  /** `CN=kube-apiserver` */
  readonly subject: string;
  readonly issuer: string;
  /** Milliseconds since the epoch. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Which check a kind of failure belongs to; all others are the server's that cannot be reached. */
const CERTIFICATE_KINDS: readonly string[] = ['certificate', 'authority'];
const ACCESS_KINDS: readonly string[] = ['forbidden', 'unauthorized', 'credentials'];

const DAY_MS = 86_400_000;
/** Before the end, */
const SOON_MS = 7 * DAY_MS;
/** but those that are renewed every few hours are renewed well before their last tenth. */
const LAST_PART = 0.1;
const SKEW_MS = 30_000;
/** Tokens are refused by then. */
const LARGE_SKEW_MS = 300_000;
const MOST_RULES = 6;
const STALE =
  'changes of Services, endpoints and Nodes do not arrive: what was last read is served';

const server: Check<ApiFacts> = {
  id: 'api-server',
  concernsTraffic: true,
  why: STALE,
  judge: ({ location, failing, nowMs, isRestored }) => {
    if (location === undefined) return undefined;
    const others = failing.filter(
      ({ kind }) => ![...CERTIFICATE_KINDS, ...ACCESS_KINDS].includes(kind),
    );
    const [first] = others;
    if (first !== undefined) {
      const seconds = ageSeconds(others, nowMs);
      const served = isRestored ? 'objects of the last run stand in' : 'serving what was known';
      return {
        level: 'failing',
        seen: `${location}: ${first.words} for ${seconds} s, ${served}`,
        cure: first.cure,
      };
    }
    if (!isRestored) return { level: 'ok', seen: `${location} answers` };
    return {
      level: 'failing',
      seen: `${location} was not heard since the start, objects of the last run stand in`,
      cure: 'see that the API server runs, and that its address and the route to it are right',
    };
  },
};

const certificate: Check<ApiFacts> = {
  id: 'api-certificate',
  concernsTraffic: true,
  why: STALE,
  judge: (facts) => {
    const { location, failing, timeMs } = facts;
    if (location === undefined || !facts.hasCertificates) return undefined;
    const [failure] = failing.filter(({ kind }) => CERTIFICATE_KINDS.includes(kind));
    const isRefused = failing.some(({ kind }) => ACCESS_KINDS.includes(kind));
    const ours = known(facts.certificates);
    const shown = failure === undefined ? undefined : known(facts.serverCertificate);
    const all = [...(shown === undefined ? [] : [shown]), ...ours];
    const wrong = all.find((each) => validityProblem(each, timeMs) !== undefined);
    if (wrong !== undefined) {
      const isFailing = failure !== undefined || isRefused || wrong.role === 'client';
      return {
        level: isFailing ? 'failing' : 'warning',
        seen: validityProblem(wrong, timeMs) ?? '',
        cure: cureOf(wrong),
      };
    }
    if (failure !== undefined) {
      const issuer = shown === undefined ? '' : ` (it is of ${shown.issuer})`;
      const trusted = ours.filter(({ role }) => role === 'authority');
      const authority = trusted.map(({ subject, place }) => `; we trust ${subject} of ${place}`);
      return {
        level: 'failing',
        seen: `${location}: ${failure.words}${issuer}${authority.join('')}`,
        cure: failure.cure,
      };
    }
    const next = ours.toSorted((left, right) => left.untilMs - right.untilMs)[0];
    if (next === undefined) return { level: 'ok', seen: "the server's certificate is trusted" };
    const seen = `the ${next.role} certificate of ${next.place} holds until ${dateText(next.untilMs)}`;
    if (!endsSoon(next, timeMs)) return { level: 'ok', seen };
    return { level: 'warning', seen, cure: cureOf(next) };
  },
};

const access: Check<ApiFacts> = {
  id: 'api-access',
  concernsTraffic: true,
  why: STALE,
  judge: ({ location, failing }) => {
    if (location === undefined) return undefined;
    const refused = failing.filter(({ kind }) => ACCESS_KINDS.includes(kind));
    const [first] = refused;
    if (first === undefined) return { level: 'ok', seen: 'the server lets us read what we need' };
    const forbidden = refused.filter(({ kind }) => kind === 'forbidden');
    if (forbidden.length === 0) {
      return { level: 'failing', seen: `${location}: ${first.words}`, cure: first.cure };
    }
    const rules = forbidden.slice(0, MOST_RULES).map(({ asked }) => missingRule(asked));
    const words = forbidden.slice(0, MOST_RULES).map(({ words }) => words);
    return {
      level: 'failing',
      seen: `${location}: ${words.join('; ')}`,
      cure: `add to the rules of our ClusterRole (kubectl edit clusterrole weft): ${rules.join(' ')}`,
    };
  },
};

const clock: Check<ApiFacts> = {
  id: 'clock-skew',
  concernsTraffic: false,
  why: 'certificates and tokens count as expired or not valid yet, and times in logs cannot be compared',
  judge: ({ location, skewMs }) => {
    if (location === undefined || skewMs === undefined) return undefined;
    const seconds = Math.round(Math.abs(skewMs) / 1000);
    if (seconds * 1000 < SKEW_MS)
      return { level: 'ok', seen: "this node's clock is that of the API server" };
    const side = skewMs > 0 ? 'behind' : 'before';
    return {
      level: Math.abs(skewMs) >= LARGE_SKEW_MS ? 'failing' : 'warning',
      seen: `this node's clock is ${seconds} s ${side} that of the API server`,
      cure: 'timedatectl shows whether the clock is set by NTP: systemctl enable --now chrony, or systemd-timesyncd',
    };
  },
};

const nodeName: Check<ApiFacts> = {
  id: 'node-name',
  concernsTraffic: true,
  why: "endpoints on this node count as another's, and its podCIDRs and addresses are not known",
  judge: ({ location, nodeProblem }) => {
    if (location === undefined) return undefined;
    if (nodeProblem === undefined) return { level: 'ok', seen: 'there is a Node of our name' };
    return {
      level: 'failing',
      seen: nodeProblem,
      cure: 'set --node-name (weft agent) or --hostname-override (weft proxy) to what kubectl get nodes shows for this node',
    };
  },
};

export const API_CHECKS: readonly Check<ApiFacts>[] = [
  server,
  certificate,
  access,
  clock,
  nodeName,
];

function ageSeconds(failing: readonly Failing[], nowMs: number): number {
  return Math.round((nowMs - Math.min(...failing.map(({ sinceMs }) => sinceMs))) / 1000);
}

function endsSoon({ fromMs, untilMs }: ReadCertificate, timeMs: number): boolean {
  return untilMs - timeMs < Math.min(SOON_MS, LAST_PART * (untilMs - fromMs));
}

function validityProblem({ role, place, fromMs, untilMs }: ReadCertificate, timeMs: number) {
  const name = `the ${role} certificate of ${place}`;
  if (untilMs <= timeMs) return `${name} has expired on ${dateText(untilMs)}`;
  if (fromMs > timeMs) return `${name} is not valid before ${dateText(fromMs)}`;
  return undefined;
}

function cureOf({ role }: ReadCertificate): string {
  const renewed = {
    client: 'renew it (kubeadm certs renew)',
    authority: "put the cluster's authority of now there",
    server: 'renew it at the server (kubeadm certs renew)',
  };
  return `${renewed[role]}, and check this node's clock`;
}

/** `2026-01-31 23:59 UTC` */
function dateText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
