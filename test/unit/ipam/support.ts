import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ReservationStore, type StoreOptions } from '../../../src/ipam/store.ts';
import { wire } from '../../../src/netlink/wire.ts';

export const REFERENCE = '/usr/lib/cni/host-local';

/** A dataDir that goes with the test. */
export function temporaryDataDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-ipam-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function openStore(
  directory: string,
  options: Partial<StoreOptions> = {},
): ReservationStore {
  return new ReservationStore(directory, {
    flock: wire.flock,
    timeoutMs: 10_000,
    keepsIndex: false,
    isDurable: false,
    ...options,
  });
}

export function owner(containerId: string, ifName = 'eth0') {
  return { containerId, ifName, requested: [] };
}

/** Every file of the directory but the lock, name to bytes. */
export function filesOf(directory: string): Record<string, string> {
  const names = readdirSync(directory).filter((name) => name !== 'lock');
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(directory, name), 'latin1')]),
  );
}

export interface ReferenceResult {
  readonly status: number | null;
  /** Addresses with prefix, of ADD. */
  readonly addresses: readonly string[];
  /** `msg` of the error. */
  readonly message: string | undefined;
}

/** Environment and input of one run of the reference plugin on network `n`. */
export function referenceCall(
  verb: string,
  containerId: string,
  dataDirectory: string,
  ipam: object,
  cniArgs = '',
) {
  return {
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: '/proc/self/ns/net',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
      CNI_ARGS: cniArgs,
    },
    input: JSON.stringify({
      cniVersion: '1.0.0',
      name: 'n',
      type: 'bridge',
      ipam: { type: 'host-local', dataDir: dataDirectory, ...ipam },
    }),
  };
}

export function runReference(...call: Parameters<typeof referenceCall>): ReferenceResult {
  const { env, input } = referenceCall(...call);
  const run = spawnSync(REFERENCE, { env, input, encoding: 'utf8', timeout: 20_000 });
  const output = run.stdout === '' ? {} : JSON.parse(run.stdout);
  const ips: { address: string }[] = output.ips ?? [];
  return { status: run.status, addresses: ips.map((ip) => ip.address), message: output.msg };
}
