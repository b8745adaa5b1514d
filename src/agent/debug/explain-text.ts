/** An explanation in words, for the terminal. */
import { formatHostPort } from '../../net/host-port.ts';
import type {
  Candidate,
  Decision,
  Explanation,
  MasqueradeReason,
  Packet,
} from '../../proxy/verdict/explanation.ts';
import { assertNever } from '../../util/errors.ts';
import { wrapped } from '../../util/text-layout.ts';
import { liveText } from './explain/live/live-text.ts';
import { causeLines, wayLines } from './explain/way-text.ts';
import type { ExplainAnswer } from './explain.ts';
import { nextAgainstPolicies, policyLines } from './policy-outcome-text.ts';

const MOST_CANDIDATES = 20;

/** What `weft explain` prints: numbered decisions, the verdict, and where to look next. */
export function explainText(answer: ExplainAnswer): string {
  const { explanation, policies = [], pending, doubts = [], live, ways, causes } = answer;
  const { packet, decisions, verdict } = explanation;
  const lines = [...paragraph(titleText(answer)), ''];
  decisions.forEach((decision, i) => {
    const number = `${String(i + 1).padStart(2)}. `;
    lines.push(...wrapped(decisionText(decision, explanation), { first: number, next: '    ' }));
    if (decision.kind === 'endpoints' && verdict.kind === 'dnat') {
      lines.push(...candidateLines(verdict.candidates));
    }
  });
  lines.push('', ...paragraph(`Verdict: ${verdictText(answer)}`));
  lines.push(...policyLines(policies), ...wayLines(ways));
  lines.push(...causeLines(causes));
  const next = nextAgainstPolicies(policies, packet.protocol) ?? nextStep(answer);
  if (next !== undefined) lines.push(...paragraph(`Next: ${next}`));
  lines.push(...doubts.flatMap((doubt) => paragraph(`Doubtful: ${doubt}`)));
  if (pending > 0) {
    lines.push(`Note: changes of ${pending} Services are on their way to the kernel.`);
  }
  if (live !== undefined) lines.push('', ...liveText(live));
  return `${lines.join('\n')}\n`;
}

function paragraph(text: string): readonly string[] {
  return wrapped(text, { first: '', next: '    ' });
}

function titleText({ explanation: { packet }, names = {} }: ExplainAnswer): string {
  const { source, destination, port, protocol } = packet;
  const from = names.from === undefined ? source : `${names.from} (${source})`;
  const to = names.to === undefined ? destination : `${names.to} (${destination})`;
  return `A new connection from ${from} to ${to} port ${port} (${protocol})`;
}

function decisionText(decision: Decision, { packet, verdict }: Explanation): string {
  switch (decision.kind) {
    case 'origin':
      return originText(decision, packet);
    case 'frontend':
      return `Map ${decision.map} has ${decision.key}: the ${FRONTENDS[decision.frontend]} of ${decision.servicePort}.`;
    case 'sourceRanges':
      return decision.admittedBy === undefined
        ? `loadBalancerSourceRanges: ${packet.source} is in none of ${decision.ranges.join(', ')}.`
        : `loadBalancerSourceRanges: ${packet.source} is in ${decision.admittedBy}.`;
    case 'noFrontend':
      return noFrontformatHostPort(decision);
    case 'clusterIP':
      return `It is the clusterIP of ${decision.servicePorts.join(', ')}: its other ports are ${verdict.kind === 'pass' ? 'left to the routing in this mode' : 'refused'}.`;
    case 'serviceCIDR':
      return `It is in ${decision.cidr}, where only clusterIPs are, and no Service has it${verdict.kind === 'pass' ? '; this mode leaves it to the routing' : ''}.`;
    case 'trafficPolicy':
      return policyText(decision);
    case 'noEndpoints':
      return decision.scope === 'cluster'
        ? 'No endpoint is ready, and none that is terminating still serves.'
        : decision.answer === 'drop'
          ? 'No endpoint on this node; other nodes have some.'
          : 'No endpoint is ready on any node.';
    case 'affinity':
      return `sessionAffinity ClientIP: a client that was here within ${decision.seconds} s goes where it went, if that is still there.`;
    case 'endpoints':
      return endpointsText(decision);
    case 'masquerade':
      return masqueradeText(decision);
    default:
      return assertNever(decision, 'decision');
  }
}

const FRONTENDS = {
  clusterIP: 'clusterIP',
  loadBalancerIP: 'load balancer address',
  externalIP: 'external IP',
  nodePort: 'NodePort',
} as const;

function originText(
  { sign }: Extract<Decision, { kind: 'origin' }>,
  { source, inInterface }: Packet,
): string {
  switch (sign.kind) {
    case 'nodeAddress':
      return `From this node: ${source} is one of its addresses.`;
    case 'podCIDR':
      return `From a pod: ${source} is in ${sign.cidr}, a network of pods.`;
    case 'podInterface':
      return `From a pod: it comes in by ${sign.name}, an interface of pods.`;
    case 'noDetector':
      return `From elsewhere: nothing tells the pods of this node apart (clusterCIDR, detectLocalMode).`;
    case 'noMatch':
      return `From outside: ${source} is neither of this node nor ${inInterface === undefined ? 'in a network' : `behind an interface (${inInterface})`} of pods.`;
    default:
      return assertNever(sign, 'origin');
  }
}

function noFrontformatHostPort({
  key,
  nodePortOf,
}: Extract<Decision, { kind: 'noFrontend' }>): string {
  const missed = `Map service-ips has no ${key}`;
  return nodePortOf === undefined
    ? `${missed}, and no NodePort has that number.`
    : `${missed}; ${nodePortOf} has that NodePort, but not on this address (nodePortAddresses).`;
}

function policyText(decision: Extract<Decision, { kind: 'trafficPolicy' }>): string {
  const policy = `${decision.policy}TrafficPolicy ${decision.value}`;
  if (decision.isShortCircuit) {
    return `${policy}, but clients on this node may use endpoints on every node.`;
  }
  return decision.value === 'Local'
    ? `${policy}: only endpoints on this node may serve it.`
    : `${policy}: endpoints on every node may serve it.`;
}

const MASQUERADE: Readonly<Record<MasqueradeReason, string>> = {
  hairpin: 'a pod that reaches itself would answer itself directly',
  masqueradeAll: 'masqueradeAll is on',
  offCluster: 'clients of clusterIPs that are not pods of the cluster may have no way back',
  externalCluster: 'the reply has to come back through this node',
  fromNode: "the node's own connections leave by whatever address faces the endpoint",
  fromPod: 'pods are not masqueraded on the way to a clusterIP',
  noDetector: 'without a way to tell pods, no client of a clusterIP is masqueraded',
  sourceKept: 'externalTrafficPolicy Local keeps it',
  forwarded: 'the agent makes the connection to the endpoint (mode userspace)',
  ipMasq: 'the CNI configuration of the pod has ipMasq, and the endpoint is outside its networks',
};

function endpointsText(decision: Extract<Decision, { kind: 'endpoints' }>): string {
  if (decision.count === 1) return 'One endpoint:';
  const { hashSlot } = decision;
  return hashSlot === undefined
    ? `${decision.count} endpoints; each new connection draws one at random:`
    : `${decision.count} endpoints; the hash of the client's address, ${hashSlot.slot} of ${hashSlot.count}, decides (weft.dev/balance: source-hash):`;
}

function masqueradeText(decision: Extract<Decision, { kind: 'masquerade' }>): string {
  const whom = decision.endpoints === undefined ? '' : ` (at ${decision.endpoints.join(', ')})`;
  const whose = decision.isMasqueraded ? "the node's address" : "the client's own address";
  return `The server${whom} sees ${whose}: ${MASQUERADE[decision.because]}.`;
}

function candidateLines(candidates: readonly Candidate[]): readonly string[] {
  const lines = candidates.slice(0, MOST_CANDIDATES).map(({ ip, port, isLocal, probability }) => {
    const share = `${(probability * 100).toFixed(1)}%`.padStart(9);
    return `${share}  ${formatHostPort(ip, port)}  on ${isLocal ? 'this node' : 'another node'}`;
  });
  const rest = candidates.length - lines.length;
  return rest === 0 ? lines : [...lines, `      and ${rest} more (--json tells all)`];
}

function verdictText({
  explanation: { verdict },
  hostPort,
  isPodMasquerade,
}: ExplainAnswer): string {
  switch (verdict.kind) {
    case 'dnat':
      return verdict.candidates.length === 1
        ? 'it goes to the endpoint above.'
        : 'it goes to one of the endpoints above.';
    case 'reject':
      return 'refused at once (a TCP reset, or an ICMP error).';
    case 'drop':
      return 'dropped in silence; the client runs into its timeout.';
    case 'reset':
      return 'taken by the agent, then reset: a process learns of a connection when it is made.';
    case 'pass':
      if (hostPort !== undefined) {
        return `a host port: it goes to pod ${hostPort.pod}, ${formatHostPort(hostPort.target, hostPort.port)}.`;
      }
      return isPodMasquerade
        ? "no Service; the server sees the node's address, not the pod's."
        : 'no Service; the packet goes on as if there were no Service proxy.';
  }
}

/** Undefined where a cause says what to do. */
function nextStep({ explanation, causes }: ExplainAnswer): string | undefined {
  const { packet, decisions, verdict } = explanation;
  if (causes.some(({ effect }) => effect === 'drops' || effect === 'refuses')) return undefined;
  const port = decisions.find((decision) => decision.kind === 'frontend')?.servicePort;
  const [namespace = '', name = ''] = (port ?? '').split(/[/:]/);
  switch (verdict.kind) {
    case 'dnat':
      return 'if it fails all the same, --live --send sends a packet, follows it and asks the endpoint.';
    case 'pass':
      return `ip route get ${packet.destination} tells where it goes.`;
    default:
      break;
  }
  if (decisions.some(({ kind }) => kind === 'noEndpoints')) {
    return `kubectl -n ${namespace} get endpointslices -l kubernetes.io/service-name=${name} tells which pods there are, and whether they are ready.`;
  }
  if (decisions.some(({ kind }) => kind === 'sourceRanges')) {
    return `kubectl -n ${namespace} get service ${name} -o yaml shows loadBalancerSourceRanges.`;
  }
  return `kubectl get services -A tells who has which address and port.`;
}
