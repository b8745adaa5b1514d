/** `weft services`: what the proxy of this node serves. */
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { serviceDetailText, servicesText } from '../../agent/debug/lists/services-text.ts';
import type { ListedService, Listing, ServiceDetail } from '../../agent/debug/lists/values.ts';
import type { ServiceRequest, ServicesRequest } from '../../agent/debug/questions/lists.ts';
import type { Command } from '../command.ts';
import { allParts, declareListFlags, type ListEffects, printList, wantedOf } from '../list.ts';
import { ask } from '../question.ts';

const EPILOGUE = `Lists the Services that the proxy of this node serves, a line for each port and address family: how many
of its endpoints are in use, connections since the agent's start, and packets refused. With NAME, a
Service or NAMESPACE/NAME, it tells everything about one: each address and port that clients can use,
and each endpoint with its state and why one is left out. Counts are those of this node, up to 10 s
old; - means that the mode of the proxy counts nothing. Headless Services and ExternalNames are not
served, so they are not listed.

Examples:
  weft services
  weft services shop/web
  weft services --namespace shop --output wide
  weft services shop/web --watch`;

export const servicesCommand: Command = {
  name: 'services',
  describe: 'List Services, or tell all about one: frontends, endpoints, connections',
  argument: 'NAME',
  declare: (declaration) => {
    declaration.usage('weft services [NAME] [flags]').epilogue(EPILOGUE);
    return declareListFlags(declaration, { hasNamespace: true, isLong: true });
  },
  run: runServices,
};

export async function runServices(flags: FlagValues, effects: ListEffects): Promise<number> {
  const { name, ...wanted } = wantedOf(flags);
  if (name !== undefined) {
    const request: ServiceRequest = { command: 'service', ...wanted, name };
    // The agent answers a request of this command with this shape.
    const look = async () => (await ask(flags, request, effects)) as ServiceDetail;
    return printList(flags, effects, look, serviceDetailText);
  }
  const look = () =>
    allParts(flags, async (part) => {
      const request: ServicesRequest = { command: 'services', ...wanted, ...part };
      // As above.
      return (await ask(flags, request, effects)) as Listing<ListedService>;
    });
  return printList(flags, effects, look, ({ items, total }, options) => {
    const text = servicesText(items, options);
    return items.length < total ? `${text}${items.length} of ${total} Services\n` : text;
  });
}
