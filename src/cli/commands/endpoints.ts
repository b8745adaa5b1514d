/** `weft endpoints`: what EndpointSlices list, and what becomes of it on this node. */
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { endpointsText } from '../../agent/debug/lists/text.ts';
import type { ListedEndpoint, Listing } from '../../agent/debug/lists/values.ts';
import type { EndpointsRequest } from '../../agent/debug/questions/lists.ts';
import type { Command } from '../command.ts';
import { allParts, declareListFlags, type ListEffects, printList, wantedOf } from '../list.ts';
import { ask } from '../question.ts';

const EPILOGUE = `Lists the endpoints of Services with their state, and why one is left out on this node: not ready,
terminating, on another node while a traffic policy is Local, hints or weights that prefer others, or
an address of a family that the Service does not have. NAME is a Service, or NAMESPACE/NAME.

Examples:
  weft endpoints shop/web
  weft endpoints --left-out
  weft endpoints --namespace shop --output wide`;

export const endpointsCommand: Command = {
  name: 'endpoints',
  describe: 'List endpoints of Services, and why some are left out',
  argument: 'NAME',
  declare: (declaration) => {
    declaration.usage('weft endpoints [NAME] [flags]').epilogue(EPILOGUE);
    declaration.option('left-out', {
      type: 'boolean',
      describe: 'Only those that some clients are not led to',
    });
    return declareListFlags(declaration, { hasNamespace: true, isLong: true });
  },
  run: runEndpoints,
};

export async function runEndpoints(flags: FlagValues, effects: ListEffects): Promise<number> {
  const wanted = { ...wantedOf(flags), isLeftOutOnly: flags['left-out'] === true };
  const look = () =>
    allParts(flags, async (part) => {
      const request: EndpointsRequest = { command: 'endpoints', ...wanted, ...part };
      // The agent answers a request of this command with this shape.
      return (await ask(flags, request, effects)) as Listing<ListedEndpoint>;
    });
  return printList(flags, effects, look, ({ items }, options) => endpointsText(items, options));
}
