import type { ModeName } from '../modes/names.ts';

/**
 * Where a mode's verdict is another on purpose. The table in the README of the proxy has what follows
 * for the flows that tests try; each row is asserted with packets and with the model.
 */
export interface ModeTraits {
  /** Other ports of a clusterIP, and addresses of the ServiceCIDRs that no Service has. */
  readonly leavesToRouting: { readonly otherPorts: boolean; readonly unusedAddresses: boolean };
  /** A frontend has one set of endpoints for all clients: the one for hosts outside, if it has any. */
  readonly hasOneRoute: boolean;
  /** A process of this node accepts connections and makes those to the endpoints. */
  readonly isForwarder: boolean;
}

const RULES: ModeTraits = {
  leavesToRouting: { otherPorts: false, unusedAddresses: false },
  hasOneRoute: false,
  isForwarder: false,
};

export const MODE_TRAITS: Readonly<Record<ModeName, ModeTraits>> = {
  nftables: RULES,
  iptables: { ...RULES, leavesToRouting: { otherPorts: true, unusedAddresses: true } },
  ipvs: { ...RULES, hasOneRoute: true },
  userspace: {
    ...RULES,
    leavesToRouting: { otherPorts: false, unusedAddresses: true },
    isForwarder: true,
  },
};
