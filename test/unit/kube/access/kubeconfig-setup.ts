import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { stringify } from 'yaml';
import type { ClusterAccess } from '../../../../src/kube/access/access.ts';
import { readKubeconfig } from '../../../../src/kube/access/kubeconfig.ts';
import { ApiClient } from '../../../../src/kube/api/client.ts';
import { services } from '../../../../src/kube/resources.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { FakeApiServer, type FakeApiServerOptions } from '../../../support/fake-api-server.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { serviceObject } from '../../../support/kube.ts';

export let directory: string;
export let clock: FakeClock;
let server: FakeApiServer | undefined;

export const path = (name: string) => join(directory, name);
export const never = new AbortController().signal;

/** Gives every test of the calling file a directory and a clock, and stops its server afterwards. */
export function useKubeconfigDirectory(): void {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weft-kubeconfig-'));
    clock = new FakeClock();
    server = undefined;
  });

  afterEach(async () => {
    await server?.stop();
    rmSync(directory, { recursive: true });
  });
}

export async function startServer(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  server = new FakeApiServer(options);
  await server.start();
  server.put('services', serviceObject('a'));
  return server;
}

export const accessOptions = (environment: Record<string, string | undefined> = {}) => ({
  clock,
  environment: { PATH: process.env['PATH'], ...environment },
  execTimeoutMs: 5000,
});

export const read = (file = path('config')) => readKubeconfig(file, accessOptions());

/** How many Services a client with this access sees. */
export async function count(access: ClusterAccess): Promise<number> {
  const client = new ApiClient({ access, version: 'test', clock: systemClock, random: () => 0 });
  try {
    const request = { resource: services, usesFieldSelector: true, signal: never };
    return (await client.list(request, (object) => object)).objects.length;
  } finally {
    client.close();
  }
}

export interface Parts {
  readonly cluster?: Record<string, unknown>;
  readonly user?: Record<string, unknown>;
  readonly root?: Record<string, unknown>;
}

export function writeConfig({ cluster, user, root }: Parts = {}): void {
  const config = {
    'current-context': 'main',
    contexts: [
      { name: 'other', context: { cluster: 'nowhere', user: 'nobody' } },
      { name: 'main', context: { cluster: 'c', user: 'u' } },
    ],
    clusters: [{ name: 'c', cluster: { server: 'https://192.168.0.1:6443', ...cluster } }],
    users: [{ name: 'u', user: { ...user } }],
    ...root,
  };
  writeFileSync(path('config'), stringify(config));
}

export function writeScript(name: string, body: string): string {
  writeFileSync(path(name), `#!/bin/sh\n${body}\n`);
  chmodSync(path(name), 0o755);
  return path(name);
}

export const EXEC_V1 = 'client.authentication.k8s.io/v1';

/** A plugin that counts its calls in `calls` and answers with `status`. */
export function writePlugin(status: object, apiVersion = EXEC_V1): string {
  writeFileSync(path('answer'), JSON.stringify({ kind: 'ExecCredential', apiVersion, status }));
  return writeScript('plugin', `cd ${directory}; echo x >> calls; cat answer`);
}

export const callCount = () => readFileSync(path('calls'), 'utf8').length / 2;
