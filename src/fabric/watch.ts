import type { NodeEvents, Watch } from '../kernel/node-events.ts';
import type { Fabric } from './fabric.ts';
import { contradictsLinks, contradictsRoutes, type Known } from './suspicion.ts';

/** Has the fabric read the kernel back when somebody else changed what matters to it. */
export function watchKernel(
  events: Pick<NodeEvents, 'onLinks' | 'onRoutes'>,
  fabric: Fabric,
): Watch {
  const suspectIf = (contradicts: (known: Known) => boolean) => {
    const { known } = fabric;
    if (known === undefined || contradicts(known)) fabric.suspect();
  };
  const links = events.onLinks(['link', 'address', 'forwarding'], (told) =>
    suspectIf((known) => contradictsLinks(told, known)),
  );
  const routes = events.onRoutes((told) => suspectIf((known) => contradictsRoutes(told, known)));
  return {
    close() {
      links.close();
      routes.close();
    },
  };
}
