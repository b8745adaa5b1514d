import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HostPortStore } from '../../../../src/cni/host-ports.ts';
import type { CniNode, Nftables } from '../../../../src/cni/node.ts';
import type { NetnsCall } from '../../../../src/cni/plugin.ts';
import { portmap } from '../../../../src/cni/portmap/portmap.ts';
import { openHostPortStore } from '../../../../src/cni/portmap/store.ts';
import { toCniError } from '../../../../src/cni/protocol/errors.ts';
import type { Result } from '../../../../src/cni/protocol/result.ts';
import { withUndo } from '../../../../src/cni/undo.ts';
import { parseIPWithPrefix } from '../../../../src/net/cidr.ts';
import { WeftError } from '../../../../src/util/errors.ts';

let directory: string;
let store: HostPortStore;
/** Calls that reach the machine, in order. */
let steps: string[];
/** Errno name that the next commits fail with. */
let failure: string | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-portmap-'));
  store = openHostPortStore(directory, { flock: () => true, timeoutMs: 100 });
  steps = [];
  failure = undefined;
});
afterEach(() => rmSync(directory, { recursive: true }));

const unused = (): never => {
  throw new Error('host ports do not need this');
};

function nftables(): Nftables {
  const attempt = (step: string) => {
    steps.push(step);
    if (failure !== undefined) throw new WeftError(failure, `nftables: ${failure}`);
  };
  return {
    commit: ({ operations }) => attempt(operations.map(({ kind }) => kind).join(' ')),
    tables: () => {
      attempt('tables');
      return [];
    },
    generation: unused,
    chains: unused,
    hasChain: unused,
    rules: unused,
    sets: unused,
    damagedChains: unused,
    otherObjects: unused,
    elements: unused,
    close: () => undefined,
  };
}

function openNode(): CniNode {
  return {
    kernel: {
      announce: unused,
      netnses: { open: unused, adopt: unused, self: unused },
      openRtnl: unused,
      sysctls: {
        read: () => '0',
        write: (_, path, value) => void steps.push(`${path}=${value}`),
      },
      openNftables: nftables,
      openConntrack: () => ({
        flows: () => [],
        flowOf: () => undefined,
        clearMarks: () => 0,
        deleteFlows: ({ protocol }) => steps.push(`flows of ${protocol}`),
        close: () => undefined,
      }),
      claimNetns: unused,
      pause: unused,
    },
    ipam: { reserve: unused, held: unused, release: unused, owners: unused, status: unused },
    journal: {
      unfinished: unused,
      isUnfinished: unused,
      netnsOf: unused,
      begin: unused,
      end: unused,
    },
    hostPorts: store,
    version: '0',
    nodeId: '',
    fabricGate: { awaited: () => undefined },
    policyGate: { awaited: () => undefined },
  };
}

const previous: Result = {
  interfaces: [{ name: 'cni0' }, { name: 'eth0', sandbox: '/nowhere/x' }],
  ips: [{ address: parseIPWithPrefix('10.0.0.2/24'), interface: 1 }],
  routes: [],
  dns: {},
};

function call(id: string, entry: object, config: object = {}): NetnsCall {
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', ...entry }];
  return {
    request: {
      verb: 'ADD',
      containerId: id,
      netnsPath: '/nowhere/x',
      ifName: 'eth0',
      args: '',
      env: {},
      stdin: Buffer.alloc(0),
      path: [],
      mayUseOwnNetns: false,
      cniVersion: '1.1.0',
      network: 'net',
      config: { ...config, runtimeConfig: { portMappings } },
    },
    node: openNode(),
    attachment: { network: 'net', containerId: id, ifName: 'eth0' },
    netns: { fd: -1, id: 'x', close: () => undefined },
  };
}

const add = (which: NetnsCall) =>
  withUndo(
    (undo) => portmap.add(which, previous, undo),
    () => undefined,
  );

describe('ADD', () => {
  test('the guard is in the kernel before 127.0.0.0/8 is routed, flows end last', () => {
    expect(add(call('a', { protocol: 'udp' }))).toBe(previous);
    expect(steps).toEqual([
      'addElements addElements',
      'net/ipv4/conf/cni0/route_localnet=1',
      'flows of 17',
    ]);
  });

  test.each([
    { name: 'TCP flows are left alone', entry: {}, config: { snat: false }, want: ['addElements'] },
    { name: 'no family in common', entry: { hostIP: 'fd00::1' }, config: {}, want: [] },
  ])('$name', ({ entry, config, want }) => {
    add(call('a', entry, config));
    expect(steps).toEqual(want);
  });

  test('[144] nothing stays when the kernel has no nf_tables', () => {
    failure = 'EPROTONOSUPPORT';
    expect(() => add(call('a', {}))).toThrow('host ports: this kernel has no nf_tables');
    expect(store.records()).toEqual([]);
  });

  test('when neither it nor its undo get through, the next DEL knows what to remove', () => {
    failure = 'EPERM';
    expect(() => add(call('a', {}))).toThrow('undo was not complete');
    expect(store.records()).toHaveLength(1);
    failure = undefined;
    portmap.del(call('a', {}));
    expect(store.records()).toEqual([]);
  });

  test('a taken port is code 100 and names port and owner', () => {
    add(call('a', {}));
    let thrown: unknown;
    try {
      add(call('b', {}));
    } catch (error) {
      thrown = error;
    }
    const { cniCode, message } = toCniError(thrown);
    expect([cniCode, message]).toEqual([100, 'host port 8080/tcp is taken by net/a/eth0']);
  });
});

describe('DEL', () => {
  test('of an attachment without host ports asks once for tables of the reference', () => {
    portmap.del(call('a', {}));
    expect(steps).toEqual(['tables']);
  });

  test('works on a kernel that lost nf_tables', () => {
    add(call('a', {}));
    failure = 'EPROTONOSUPPORT';
    portmap.del(call('a', {}));
    expect(store.records()).toEqual([]);
  });
});

describe('STATUS', () => {
  test.each([
    { code: 'EPROTONOSUPPORT', want: 50 },
    { code: 'EAFNOSUPPORT', want: 50 },
    { code: 'EPERM', want: 999 },
  ])('$code: $want', ({ code, want }) => {
    failure = code;
    let thrown: unknown;
    try {
      portmap.status?.(call('a', {}));
    } catch (error) {
      thrown = error;
    }
    expect(toCniError(thrown).cniCode).toBe(want);
  });
});

test('GC goes on after a failure and tells all of them', () => {
  for (const [id, hostPort] of Object.entries({ a: 1, b: 2, c: 3 })) add(call(id, { hostPort }));
  const { request, node } = call('a', {});
  const isValidContainer = (id: string) => id === 'b';
  const gc = () =>
    portmap.gc({
      request,
      node,
      isValidContainer,
      isValid: ({ containerId }) => isValidContainer(containerId),
    });
  failure = 'EPERM';
  expect(gc).toThrow(/not complete: nftables: EPERM; nftables: EPERM/);
  failure = undefined;
  gc();
  expect(store.records().map(({ attachment }) => attachment.containerId)).toEqual(['b']);
});

test.each([
  { config: {}, want: false },
  { config: { runtimeConfig: { portMappings: [] } }, want: false },
  { config: { runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 1 }] } }, want: true },
])('wanted by $config: $want', ({ config, want }) => {
  expect(portmap.isWanted({ ...call('a', {}).request, config })).toBe(want);
});
