import { IPTABLES_MODE } from './iptables/mode.ts';
import { IPVS_MODE } from './ipvs/mode.ts';
import type { ProxyMode } from './mode.ts';
import type { ModeName } from './names.ts';
import { NFTABLES_MODE } from './nftables/mode.ts';
import { USERSPACE_MODE } from './userspace/mode.ts';

/** Every mode there is; `mode.ts` says what one is. */
export const PROXY_MODES: Readonly<Record<ModeName, ProxyMode>> = {
  nftables: NFTABLES_MODE,
  iptables: IPTABLES_MODE,
  ipvs: IPVS_MODE,
  userspace: USERSPACE_MODE,
};
