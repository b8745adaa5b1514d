/** The modes of the proxy, opened for the node of a lab. */
import type { IptablesVariant } from '../../../src/iptables/command.ts';
import { netnses } from '../../../src/kernel/netns.ts';
import { NftablesConnection } from '../../../src/nftables/connection.ts';
import { kernelTables } from '../../../src/proxy/modes/nftables/kernel-table.ts';
import { tableSessions } from '../../../src/proxy/modes/nftables/table-session.ts';
import { openIptablesLab } from '../iptables-lab.ts';
import { openIpvsLab } from '../ipvs-lab.ts';
import { clearRules } from '../proxy-modes.ts';
import { startIn } from '../workloads.ts';
import type { FlowMode } from './suite.ts';

const USERSPACE_PROXY = new URL('../workloads/userspace-proxy.ts', import.meta.url).pathname;

export const NFTABLES: FlowMode = {
  mode: 'nftables',
  title: 'nftables',
  async open({ node }) {
    const netns = netnses.open(node.path);
    return {
      openSession: tableSessions(kernelTables(() => NftablesConnection.open({ netns }))),
      close: async () => {
        await clearRules(node);
        netns.close();
      },
    };
  },
};

export function iptables(variant: IptablesVariant): FlowMode {
  return {
    mode: 'iptables',
    title: `iptables-${variant}`,
    async open({ node }) {
      const { openSession, close } = await openIptablesLab(node, variant);
      return {
        openSession,
        close: async () => {
          await clearRules(node);
          close();
        },
      };
    },
  };
}

/** What it makes stays: the next settings change it. */
export const IPVS: FlowMode = {
  mode: 'ipvs',
  title: 'ipvs',
  takesTurns: true,
  async open({ node }) {
    const { mode, close } = await openIpvsLab(node);
    return { openSession: mode.openSession, close };
  },
};

export const USERSPACE: FlowMode = {
  mode: 'userspace',
  title: 'userspace',
  async serve({ node }, settings) {
    const command = [process.execPath, USERSPACE_PROXY, settings];
    const proxy = await startIn(node.path, command, 'ready\n');
    return async () => {
      await proxy.end();
    };
  },
};
