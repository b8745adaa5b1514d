/** A policy lab with an Enforcer on each node, and a Service for each pod. */
import { netnses } from '../../src/kernel/netns.ts';
import { parseProbe } from '../../src/policy/probes.ts';
import { EnforcedCluster } from './policy-enforced.ts';
import { createEnforcer } from './policy-enforcer.ts';
import {
  createPolicyLab,
  type LabPod,
  type PolicyLab,
  type PolicyLabOptions,
} from './policy-lab.ts';
import { matrix, mismatches, type Question, type Refusal } from './policy-matrix.ts';
import { addServices, type LabServices } from './policy-services.ts';

export interface EnforcedLab extends PolicyLab {
  readonly cluster: EnforcedCluster;
  readonly services: LabServices;
  /** Throws if there is none. */
  pod(name: string): LabPod;
  /** `y/a -> x/a:80/tcp`, over IPv4 or `over IPv6`. */
  ask(text: string): Question;
  /** Everybody to every pod, over all ports and protocols. */
  everything(): readonly Question[];
  /** Where packets are not as wanted; whatever is not said has to be as the evaluator says. */
  differences(wanted?: Wanted): Promise<readonly string[]>;
}

export interface Wanted {
  readonly pass?: readonly (string | Question)[];
  readonly fail?: readonly (string | Question)[];
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'ICMP'] as const;

export async function createEnforcedLab(
  options: PolicyLabOptions & { readonly deniedInside?: Refusal },
): Promise<EnforcedLab> {
  const { deniedInside = 'reject' } = options;
  const lab = await createPolicyLab(options);
  const services = await addServices(lab, options.ports);
  const cluster = new EnforcedCluster(
    lab,
    lab.nodes.map(({ nodeName, netns }) =>
      createEnforcer({ nodeName, settings: { deniedInside } }, netnses.open(netns.path)),
    ),
  );
  const everything = () =>
    matrix({
      ...{ from: [...lab.pods, ...lab.nodes, lab.outside], to: lab.pods },
      ...{ ports: options.ports, protocols: PROTOCOLS },
    });
  const ask = (text: string | Question) => (typeof text === 'string' ? question(lab, text) : text);
  return {
    ...{ ...lab, cluster, services, everything, ask },
    pod(name) {
      const found = lab.pods.find((pod) => pod.name === name);
      if (found === undefined) throw new Error(`no pod ${name} in the lab`);
      return found;
    },
    differences({ pass = [], fail = [] } = {}) {
      const said = new Map([
        ...pass.map((text) => [ask(text), true] as const),
        ...fail.map((text) => [ask(text), false] as const),
      ]);
      const isAllowed = (each: Question) => said.get(each) ?? cluster.isAllowed(each);
      return mismatches(lab, [...said.keys(), ...everything()], { isAllowed, deniedInside });
    },
    async remove() {
      await cluster.close();
      await services.close();
      await lab.remove();
    },
  };
}

function question(lab: PolicyLab, text: string): Question {
  const [probe = '', family] = text.split(' over IPv');
  const { from, to, protocol, port } = parseProbe(probe, true);
  return {
    ...{ from: lab.party(from), to: lab.party(to), protocol, port },
    family: family === '6' ? 6 : 4,
  };
}
