/**
 * Judges the policy evaluator by a file of cases that somebody else made: steps that create, change
 * and delete policies, labels, pods and namespaces, each with the verdicts expected afterwards.
 *
 *   node test/judge/policy-cases.ts FILE.json[.gz]
 *
 * The cluster at the start: namespaces x, y, z (label ns), pods a, b, c in each (label pod), addresses
 * 192.168.N.P, ports 80 and 81 over TCP, UDP and SCTP named serve-<port>-<protocol>.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { decodeNetworkPolicy } from '../../src/kube/policy/decode-network-policy.ts';
import type { Namespace, NetworkPolicy, Pod } from '../../src/kube/policy/types.ts';
import type { Protocol } from '../../src/kube/types.ts';
import { Evaluator } from '../../src/policy/evaluator.ts';
import { Parties } from '../../src/policy/parties.ts';
import { answerProbe } from '../../src/policy/probes.ts';

interface PolicyAction {
  readonly Policy: unknown;
}
interface NamedAction {
  readonly Namespace: string;
  readonly Pod?: string;
  readonly Name?: string;
  readonly Labels?: Record<string, string>;
}
type Action = Readonly<Record<string, unknown>>;
interface ExpectedVerdict {
  readonly From: string;
  readonly To: string;
  readonly Proto: Protocol;
  readonly Port: number;
  readonly Allowed: boolean;
}
interface Case {
  readonly Description: string;
  readonly Steps: readonly {
    readonly Actions: readonly Action[] | null;
    readonly Probes: readonly ExpectedVerdict[] | null;
  }[];
}

const NAMESPACES = ['x', 'y', 'z'];
const PODS = ['a', 'b', 'c'];
const PORTS = [80, 81];
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

function podOf(namespace: string, name: string, labels: Record<string, string>): Pod {
  const ip = `192.168.${NAMESPACES.indexOf(namespace) + 1}.${PODS.indexOf(name) + 10}`;
  return {
    metadata: { name, namespace, labels },
    nodeName: `node-of-${namespace}-${name}`,
    usesHostNetwork: false,
    hasEnded: false,
    ips: [ip],
    ports: PORTS.flatMap((port) =>
      PROTOCOLS.map((protocol) => ({
        name: `serve-${port}-${protocol.toLowerCase()}`,
        protocol,
        port,
      })),
    ),
  };
}

class Cluster {
  readonly pods = new Map<string, Pod>();
  readonly namespaces = new Map<string, Namespace>();
  readonly policies = new Map<string, NetworkPolicy>();

  constructor() {
    for (const namespace of NAMESPACES) {
      this.#setNamespace(namespace, { ns: namespace });
      for (const pod of PODS) this.#setPod(namespace, pod, { pod });
    }
  }

  apply(action: Action): void {
    for (const [verb, argument] of Object.entries(action)) {
      if (argument === null) continue;
      const named = argument as NamedAction;
      const { Namespace: namespace, Pod: pod = named.Name ?? '', Labels: labels = {} } = named;
      switch (verb) {
        case 'CreatePolicy':
        case 'UpdatePolicy': {
          const policy = decodeNetworkPolicy((argument as PolicyAction).Policy, 'lenient');
          this.policies.set(`${policy.metadata.namespace}/${policy.metadata.name}`, policy);
          break;
        }
        case 'DeletePolicy':
          this.policies.delete(`${namespace}/${named.Name}`);
          break;
        case 'CreateNamespace':
        case 'SetNamespaceLabels':
          this.#setNamespace(namespace, labels);
          break;
        case 'DeleteNamespace':
          this.namespaces.delete(namespace);
          break;
        case 'CreatePod':
        case 'SetPodLabels':
          this.#setPod(namespace, pod, labels);
          break;
        case 'DeletePod':
          this.pods.delete(`${namespace}/${pod}`);
          break;
        case 'ReadNetworkPolicies':
          break;
        default:
          throw new Error(`unknown action ${verb}`);
      }
    }
  }

  #setNamespace(name: string, labels: Record<string, string>): void {
    this.namespaces.set(name, { metadata: { name, namespace: '', labels } });
  }

  #setPod(namespace: string, name: string, labels: Record<string, string>): void {
    this.pods.set(`${namespace}/${name}`, podOf(namespace, name, labels));
  }
}

function judge(cases: readonly Case[]): number {
  let judged = 0;
  let differing = 0;
  let toItself = 0;
  for (const { Description: description, Steps: steps } of cases) {
    const cluster = new Cluster();
    for (const { Actions: actions, Probes: probes } of steps) {
      for (const action of actions ?? []) cluster.apply(action);
      const parties = new Parties({
        pods: cluster.pods.values(),
        namespaces: cluster.namespaces.values(),
        nodes: [],
      });
      const evaluator = new Evaluator({
        networkPolicies: cluster.policies.values(),
        clusterNetworkPolicies: [],
      });
      for (const expected of probes ?? []) {
        const { From: from, To: to, Proto: protocol, Port: port, Allowed: allowed } = expected;
        const answer = answerProbe({ from, to, protocol, port }, { parties, evaluator });
        judged++;
        if ('allowed' in answer && answer.allowed === allowed) continue;
        // A pod cannot block access to itself (NetworkPolicy API): such cases are counted apart.
        if (from === to) {
          toItself++;
          continue;
        }
        differing++;
        console.log(
          `${description}: ${from} -> ${to}:${port}/${protocol}: ${JSON.stringify(answer)}`,
        );
      }
    }
  }
  console.log(
    `${judged} verdicts judged, ${differing} differ; ${toItself} more of a pod to itself, which the API always allows`,
  );
  return differing;
}

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error('judge-policy: CASES names no file: make judge-policy CASES=FILE.json[.gz]');
  process.exit(2);
}
const bytes = readFileSync(file);
const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
process.exitCode = judge(JSON.parse(text)) === 0 ? 0 : 1;
