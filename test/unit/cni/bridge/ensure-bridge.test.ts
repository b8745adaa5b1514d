import { expect, test } from 'vitest';
import { ensureBridge } from '../../../../src/cni/bridge/ensure-bridge.ts';
import type { BridgePlan } from '../../../../src/cni/node-plan.ts';
import type { Link, NodeRtnl, Sysctls } from '../../../../src/kernel/types.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import { link } from '../../../support/fabric-objects.ts';

const mac = parseMac('02:00:00:00:00:09');
const bridge: Link = link(7, 'br0', { kind: 'bridge', mac });
const plan = {
  ...{ name: 'br0', mac, isPromiscuous: false, filtersVlans: false },
  ...{ sysctls: [], addresses: [] },
} as unknown as BridgePlan;
const sysctls: Sysctls = { read: () => '1', write: () => {} };

test('a bridge that another call makes between two looks is the one, not a renamed one', () => {
  let isThere = false;
  const host = {
    link: () => (isThere ? bridge : undefined),
    links: () => {
      isThere = true;
      return [bridge];
    },
    createBridge: () => false,
    changeLink: () => {},
    addresses: () => [],
  } as unknown as NodeRtnl;
  expect(ensureBridge(host, sysctls, plan).index).toBe(7);
});
