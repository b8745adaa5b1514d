import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openIpvs } from '../../src/kernel/ipvs.ts';

/** Tells whether this kernel has IPVS, other than by generic netlink. */
const hasIpvs = existsSync('/proc/net/ip_vs');

test(`IPVS, which this kernel ${hasIpvs ? 'has' : 'lacks'}`, () => {
  const open = () => openIpvs().close();
  if (hasIpvs) expect(open).not.toThrow();
  else expect(open).toThrow(/no IPVS: load it with "modprobe ip_vs".*CONFIG_IP_VS/);
});
