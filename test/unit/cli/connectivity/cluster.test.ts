import { expect, test } from 'vitest';
import { type ClusterApi, withTestObjects } from '../../../../src/cli/connectivity/cluster.ts';
import { ApiError } from '../../../../src/kube/api/api-error.ts';

const OWN = 'weft-connectivity-aaaaaa';
const PATH = '/api/v1/namespaces';
/** By the API server's clock. */
const NOW_MS = Date.parse('2026-06-01T12:00:00Z');
const HOUR_MS = 3_600_000;

class Cluster implements ClusterApi {
  readonly namespaces = new Map<string, object>();

  put(name: string, runBy: string, hoursAgo: number): void {
    const creationTimestamp = new Date(NOW_MS - hoursAgo * HOUR_MS).toISOString();
    const annotations = { 'weft.dev/connectivity-run-by': runBy };
    this.namespaces.set(name, { metadata: { name, annotations, creationTimestamp } });
  }

  async create(path: string): Promise<void> {
    if (path !== PATH) throw new Error('far enough');
    this.put(OWN, 'node-a', 0);
  }

  async read(path: string): Promise<unknown> {
    if (path.startsWith(`${PATH}?`)) return { items: [...this.namespaces.values()] };
    const found = this.namespaces.get(path.slice(PATH.length + 1));
    if (found === undefined)
      throw new ApiError(path, {
        status: 404,
        reason: 'NotFound',
        message: '',
        retryAfterMs: undefined,
      });
    return found;
  }

  async delete(path: string): Promise<void> {
    this.namespaces.delete(path.slice(PATH.length + 1));
  }

  close(): void {}
}

test.each([0, 3, -3])(
  'with a clock that is %i hours ahead, what others need is left alone',
  async (ahead) => {
    const api = new Cluster();
    api.put('weft-connectivity-0a0a0a', 'node-a', 0.1);
    api.put('weft-connectivity-0b0b0b', 'node-b', 0.1);
    api.put('weft-connectivity-0c0c0c', 'node-b', 2.1);
    api.put('shop', 'node-a', 5);
    const around = {
      ...{ api, signal: new AbortController().signal, now: () => 0, print: () => {} },
      ...{ wait: async () => {}, time: () => NOW_MS + ahead * HOUR_MS },
    };
    const settings = {
      ...{ namespace: OWN, image: 'i', command: [], thisNode: 'node-a', otherNodes: [] },
    };
    const made = withTestObjects(settings, 1_000, around, async () => {});
    await expect(made).rejects.toThrow('far enough');
    expect([...api.namespaces.keys()]).toEqual(['weft-connectivity-0b0b0b', 'shop']);
  },
);
