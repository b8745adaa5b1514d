/** Ports of Services that a program of the node has too. Pure. */
import { type Check, type Fact, known } from './check.ts';

export interface PortFacts {
  /** How many NodePorts there are. */
  readonly nodePorts: number;
  readonly taken: Fact<readonly TakenPort[]>;
}

export interface TakenPort {
  readonly service: string;
  readonly protocol: string;
  readonly port: number;
  /** Where the program listens: `0.0.0.0`. */
  readonly address: string;
  /** `nginx, pid 77`; undefined where its process cannot be seen. */
  readonly holder: string | undefined;
}

const MOST_NAMED = 3;

const nodePorts: Check<PortFacts> = {
  id: 'node-ports',
  concernsTraffic: false,
  why: 'the Service has the port: nobody reaches the program at it from outside, and only the program seems to work',
  judge: (facts) => {
    if (facts.nodePorts === 0) return undefined;
    const taken = known(facts.taken);
    if (taken.length === 0) {
      return { level: 'ok', seen: `no program has a NodePort of Services` };
    }
    const named = taken
      .slice(0, MOST_NAMED)
      .map(({ service, protocol, port, address, holder = 'a program' }) => {
        return `${holder} listens at ${address}:${port}/${protocol}, the NodePort of Service ${service}`;
      });
    const more = taken.length > MOST_NAMED ? `, and ${taken.length - MOST_NAMED} more` : '';
    return {
      level: 'warning',
      seen: `${named.join('; ')}${more}`,
      cure: 'have the program listen at another port, or give the Service another nodePort',
    };
  },
};

export const PORT_CHECKS: readonly Check<PortFacts>[] = [nodePorts];
