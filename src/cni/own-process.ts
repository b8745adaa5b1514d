import { needsExec } from './foreign-ipam.ts';
import { usesPrograms } from './portmap/backend.ts';
import { memberOf } from './protocol/json.ts';
import type { Request } from './protocol/request.ts';

/**
 * Whether a call holds up its process for longer than others should wait for: it executes another
 * plugin or the programs of iptables, or ADD waits for duplicate address detection.
 */
export function needsOwnProcess(request: Request): boolean {
  const { verb, config } = request;
  if (memberOf(config, 'ipMasqBackend') === 'iptables' || needsExec(request)) return true;
  if ((verb === 'ADD' || verb === 'CHECK') && usesPrograms(config)) return true;
  return verb === 'ADD' && memberOf(config, 'enabledad') === true;
}
