import type { ChainMember, Plugin } from '../plugin.ts';
import { requirePreviousResult } from '../protocol/previous-result.ts';

/**
 * A chain member as a plugin of its own, behind other plugins in a list. A configuration that does
 * not ask for it passes prevResult on.
 */
export function chained(member: ChainMember): Plugin {
  return {
    name: member.name,
    add: (call, undo) => {
      const previous = requirePreviousResult(call.request);
      return member.isWanted(call.request) ? member.add(call, previous, undo) : previous;
    },
    del: (call) => member.del(call),
    ...(member.delMany === undefined ? {} : { delMany: member.delMany }),
    check: (call) => {
      const previous = requirePreviousResult(call.request);
      if (member.isWanted(call.request)) member.check(call, previous);
    },
    status: (call) => member.status?.(call),
    checkConfig: (request) => void member.isWanted(request),
    gc: (call) => member.gc(call),
  };
}
