import { readFileSync } from 'node:fs';

/** Bits of linux/capability.h. */
const CAPABILITIES = { CAP_NET_ADMIN: 12 } as const;

/** Whether this process may use a capability now, in its own user namespace. */
export function hasCapability(name: keyof typeof CAPABILITIES): boolean {
  return isEffective(readFileSync('/proc/self/status', 'utf8'), name);
}

/** Reads `CapEff`, a hexadecimal mask, of a file such as /proc/self/status. */
export function isEffective(status: string, name: keyof typeof CAPABILITIES): boolean {
  const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
}
