import { toError } from '../../../util/errors.ts';
import type { Fact } from '../check.ts';
import type { CheckedNode, CheckedPort } from '../checked-node.ts';
import type { PortFacts, TakenPort } from '../ports.ts';
import { holdersOf, listenersAt, ownSockets } from './listeners.ts';

export async function readPortFacts({ agent }: CheckedNode): Promise<PortFacts> {
  const ports = agent?.proxy?.nodePorts() ?? [];
  return { nodePorts: ports.length, taken: ports.length === 0 ? [] : await readTaken(ports) };
}

async function readTaken(ports: readonly CheckedPort[]): Promise<Fact<readonly TakenPort[]>> {
  try {
    const services = new Map(
      ports.map(({ service, protocol, port }) => [`${protocol} ${port}`, service]),
    );
    const own = ownSockets();
    const found = (await listenersAt(new Set(ports.map(({ port }) => port)))).filter(
      ({ inode }) => !own.has(inode),
    );
    const holders =
      found.length === 0 ? new Map() : holdersOf(new Set(found.map(({ inode }) => inode)));
    return found.flatMap(({ protocol, port, address, inode }) => {
      const service = services.get(`${protocol} ${port}`);
      if (service === undefined) return [];
      return [{ service, protocol, port, address, holder: holders.get(inode) }];
    });
  } catch (thrown) {
    return { unread: toError(thrown).message };
  }
}
