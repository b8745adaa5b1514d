import type { AgentContext } from '../context.ts';
import type { RunningParts } from '../status.ts';
import type { CheckedAgent } from './checked-node.ts';

/** What the parts of a running agent know that checks want to know. */
export function checkedAgent({ config }: AgentContext, _parts: RunningParts): CheckedAgent {
  return {
    components: config.components,
    nodeName: config.nodeName,
    podCIDRs: [],
  };
}
