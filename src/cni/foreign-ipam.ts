import { toError } from '../util/errors.ts';
import type { LeasedAddress } from './address-config.ts';
import { type ExecPlugin, execDelegate, parseDelegateResult } from './delegate.ts';
import type { ForeignIpam, Lease } from './node.ts';
import { checkStatic, staticIpam, staticLease } from './plugins/static.ts';
import { CniError, toCniError } from './protocol/errors.ts';
import { isJsonObject, memberOf } from './protocol/json.ts';
import type { Request, Verb } from './protocol/request.ts';
import type { ResultIP } from './protocol/result.ts';

/** Types of `ipam` that are served without executing anything. */
const BUILT_IN: readonly string[] = ['host-local', staticIpam.name];

/** Whether a call ends in the execution of another plugin. An absent type is a network without IPAM. */
export function needsExec({ config }: Request): boolean {
  const ipam = memberOf(config, 'ipam');
  const type = isJsonObject(ipam) ? memberOf(ipam, 'type') : undefined;
  return typeof type === 'string' && type !== '' && !BUILT_IN.includes(type);
}

/**
 * `static` in this process, every other type by executing the plugin of that name. Without `exec`, a
 * call for which `needsExec` must not come here.
 */
export function openForeignIpam(exec: ExecPlugin | undefined): ForeignIpam {
  const call = (request: Request, type: string, verb: Verb): string => {
    if (exec === undefined) throw new Error(`"${type}" cannot be executed in this process`);
    return execDelegate(exec, request, type, verb);
  };
  const either =
    (verb: Verb, ofStatic: (request: Request) => void) =>
    (request: Request, type: string): void => {
      if (type === staticIpam.name) ofStatic(request);
      else call(request, type, verb);
    };
  return {
    canExec: exec !== undefined,
    add: (request, type) => {
      if (type === staticIpam.name) return staticLease(request);
      return addOrTakeBack(request, (verb) => call(request, type, verb));
    },
    del: either('DEL', () => undefined),
    check: either('CHECK', checkStatic),
    status: either('STATUS', staticLease),
    gc: either('GC', () => undefined),
  };
}

/**
 * CNI specification, "ADD": a delegate that failed is told DEL before the failure is passed on. An
 * answer that cannot be used counts as a failure.
 */
function addOrTakeBack(request: Request, call: (verb: Verb) => string): Lease {
  try {
    const { ips, routes, dns } = parseDelegateResult(call('ADD'), request);
    return { ips: ips.map(withoutInterface), routes, dns };
  } catch (thrown) {
    throw takeBack(toCniError(thrown), call);
  }
}

function withoutInterface({ interface: _index, ...ip }: ResultIP): LeasedAddress {
  return ip;
}

function takeBack(failure: CniError, call: (verb: Verb) => string): CniError {
  try {
    call('DEL');
    return failure;
  } catch (thrown) {
    const after = `DEL after it failed too: ${toError(thrown).message}`;
    const details = failure.details === undefined ? after : `${failure.details}; ${after}`;
    return new CniError(failure.cniCode, failure.message, details, { cause: failure });
  }
}
