import { expect, test } from 'vitest';
import { type ClusterApi, withTestObjects } from '../../../../src/cli/connectivity/cluster.ts';
import { ApiError } from '../../../../src/kube/api/api-error.ts';

const OWN = 'weft-connectivity-aaaaaa';
const PATH = '/api/v1/namespaces';
/** By the API server's clock. */
const NOW_MS = Date.parse('2026-06-01T12:00:00Z');
const HOUR_MS = 3_600_000;

function answer(status: number, reason: string): ApiError {
  return new ApiError(PATH, { status, reason, message: '', retryAfterMs: undefined });
}

/** Lists come two at a time. */
class Cluster implements ClusterApi {
  readonly namespaces = new Map<string, object>();

  put(name: string, runBy: string, hoursAgo: number): void {
    const creationTimestamp = new Date(NOW_MS - hoursAgo * HOUR_MS).toISOString();
    const annotations = { 'weft.dev/connectivity-run-by': runBy };
    this.namespaces.set(name, { metadata: { name, annotations, creationTimestamp } });
  }

  async create(path: string): Promise<void> {
    if (path !== PATH) throw new Error('far enough');
    if (this.namespaces.has(OWN)) throw answer(409, 'AlreadyExists');
    this.put(OWN, 'node-a', 0);
  }

  async read(path: string): Promise<unknown> {
    if (path.startsWith(`${PATH}?`)) {
      const from = Number(new URLSearchParams(path.split('?')[1]).get('continue') || '0');
      const items = [...this.namespaces.values()];
      const next = from + 2 < items.length ? { continue: `${from + 2}` } : {};
      return { metadata: next, items: items.slice(from, from + 2) };
    }
    const found = this.namespaces.get(path.slice(PATH.length + 1));
    if (found === undefined) throw answer(404, 'NotFound');
    return found;
  }

  async delete(path: string): Promise<void> {
    this.namespaces.delete(path.slice(PATH.length + 1));
  }

  close(): void {}
}

function make(api: Cluster, timeMs: number): Promise<void> {
  const around = {
    ...{ api, signal: new AbortController().signal, now: () => 0, print: () => {} },
    ...{ wait: async () => {}, time: () => timeMs },
  };
  const settings = {
    ...{ namespace: OWN, image: 'i', command: [], thisNode: 'node-a', otherNodes: [] },
  };
  return withTestObjects(settings, 1_000, around, async () => {});
}

test('a namespace of the same name that is there already stays', async () => {
  const api = new Cluster();
  api.put(OWN, 'node-b', 0.1);
  await expect(make(api, NOW_MS)).rejects.toMatchObject({ status: 409 });
  expect([...api.namespaces.keys()]).toEqual([OWN]);
});

test.each([0, 3, -3])(
  'with a clock that is %i hours ahead, what others need is left alone',
  async (ahead) => {
    const api = new Cluster();
    api.put('shop', 'node-a', 5);
    api.put('weft-connectivity-0b0b0b', 'node-b', 0.1);
    api.put('weft-connectivity-0a0a0a', 'node-a', 0.1);
    api.put('weft-connectivity-0c0c0c', 'node-b', 2.1);
    await expect(make(api, NOW_MS + ahead * HOUR_MS)).rejects.toThrow('far enough');
    expect([...api.namespaces.keys()]).toEqual(['shop', 'weft-connectivity-0b0b0b']);
  },
);
