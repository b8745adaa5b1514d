import type { IPFamily } from '../../net/ip.ts';
import { PROXY_MODES } from '../../proxy/modes/modes.ts';
import { RULES, type RulesKind } from '../../proxy/modes/names.ts';
import { BusyError } from '../../util/errors.ts';
import { findKubeProxy, stopAdvice } from './kube-proxy-process.ts';

/**
 * Removes rules of one kind and family as their mode does; true when there were some. Those in iptables
 * must be on record as ours. Throws BusyError while a kube-proxy runs, whose rules they may be by now,
 * DrainingError while connections run through virtual servers, and other kinds of WeftError.
 */
export async function removeRules(
  kind: RulesKind,
  family: IPFamily,
  own?: RulesKind,
): Promise<boolean> {
  const { mode, variant } = RULES[kind];
  const running = variant === undefined ? undefined : findKubeProxy();
  if (running !== undefined) {
    const reason = `kube-proxy runs, pid ${running.pid}, and its chains have the same names`;
    const cure = stopAdvice(running);
    throw new BusyError(`remove chains of Services from iptables: ${reason}; ${cure}`);
  }
  return PROXY_MODES[mode].remove(kind, family, own);
}
