import type { CniNode } from '../node.ts';
import { CNI_ERROR_CODE, CniError } from '../protocol/errors.ts';
import type { BridgeConfig } from './config.ts';

/** Throws CniError 11 where the configuration wants policies and nobody here programs them. */
export function requirePolicies(
  { policy, foreignIpam }: Pick<BridgeConfig, 'policy' | 'foreignIpam'>,
  { policies }: CniNode,
): void {
  if (!policy || policies !== undefined) return;
  const cause =
    foreignIpam === undefined
      ? 'it does not run, or not with the component policy, see weft status'
      : `it does not run, or leaves ipam type ${foreignIpam} to be executed outside of it`;
  throw new CniError(
    CNI_ERROR_CODE.tryAgainLater,
    `pods of this network start with their policies, which no weft agent has programmed here: ${cause}`,
  );
}

/** Throws CniError 50 where no agent has enforced policies since this boot. */
export function requirePolicyGate(
  { policy }: Pick<BridgeConfig, 'policy'>,
  { policyGate }: CniNode,
): void {
  const awaited = policy ? policyGate.awaited() : undefined;
  if (awaited === undefined) return;
  const message = `policies of this node are not enforced yet: ${awaited}`;
  throw new CniError(CNI_ERROR_CODE.pluginNotAvailable, message);
}

/** Whether pods send under no addresses but their own: policies go by addresses. */
export function areSendersTied(
  { policy }: Pick<BridgeConfig, 'policy'>,
  { policies }: CniNode,
): boolean {
  return policy || policies !== undefined;
}
