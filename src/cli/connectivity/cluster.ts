/** Makes the objects of a connectivity test, waits for them, and removes them whatever happens. */
import { ApiError } from '../../kube/api/api-error.ts';
import { listAt, textAt, valueAt } from '../../kube/json-fields.ts';
import { type IP, tryParseIP } from '../../net/ip.ts';
import { BusyError, toError, WeftError } from '../../util/errors.ts';
import {
  type MadeObjects,
  NAMESPACE_PREFIX,
  type Role,
  RUN_BY,
  rolesOf,
  TEST_LABEL,
  type TestSettings,
  testObjects,
} from './objects.ts';

/** The part of the API client that is used; errors are those of ApiClient. */
export interface ClusterApi {
  create(path: string, object: unknown, signal: AbortSignal): Promise<void>;
  read(path: string, signal: AbortSignal): Promise<unknown>;
  delete(path: string, signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface ClusterSurroundings {
  readonly api: ClusterApi;
  /** Somebody wants it to end. */
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<void>;
  readonly print: (text: string) => void;
}

const POLL_MS = 500;
/** The namespace's service account is made by a controller, behind it. */
const ACCOUNT_MS = 20_000;
const REMOVAL_MS = 15_000;
/** For kubelets to end the pods of a namespace. */
const GONE_MS = 60_000;
const MOST_LEFT = 10_000;
const PAGE = 250;
/** Nobody's run takes as long, by the API server's clock. */
const LONGEST_RUN_MS = 2 * 60 * 60_000;
const NAMESPACES = '/api/v1/namespaces';

export type Made = Omit<MadeObjects, 'outside' | 'hasPolicies'>;

/** Other nodes that pods can run on, by name. */
export async function otherNodes(
  { api, signal }: ClusterSurroundings,
  thisNode: string,
  most: number,
): Promise<readonly string[]> {
  const list = await api.read('/api/v1/nodes?limit=500', signal);
  return listAt(list, 'items')
    .filter((node) => isReady(node) && valueAt(node, 'spec', 'unschedulable') !== true)
    .map((node) => textAt(node, 'metadata', 'name'))
    .filter((name) => name !== '' && name !== thisNode)
    .slice(0, most);
}

/** Gives what `use` gives, and removes the namespace with all that is in it before. */
export async function withTestObjects<T>(
  settings: TestSettings,
  timeoutMs: number,
  around: ClusterSurroundings,
  use: (made: Made) => Promise<T>,
): Promise<T> {
  const { signal, print } = around;
  let isTaken = false;
  try {
    print(`making namespace ${settings.namespace} with ${rolesOf(settings).length} pods\n`);
    for (const { path, object } of testObjects(settings)) {
      await createWhenAllowed(path, object, around).catch((thrown: unknown) => {
        isTaken = path === NAMESPACES && thrown instanceof ApiError && thrown.status === 409;
        throw thrown;
      });
      if (path === NAMESPACES) await removeLeft(settings, around);
    }
    const made = await waitForObjects(settings, timeoutMs, around);
    signal.throwIfAborted();
    return await use(made);
  } finally {
    // One of that name is somebody else's.
    if (!isTaken) await remove(settings.namespace, around);
  }
}

async function createWhenAllowed(
  path: string,
  object: unknown,
  { api, signal, now, wait }: ClusterSurroundings,
): Promise<void> {
  for (const endMs = now() + ACCOUNT_MS; ; ) {
    signal.throwIfAborted();
    try {
      await api.create(path, object, signal);
      return;
    } catch (thrown) {
      const isEarly = thrown instanceof ApiError && /serviceaccount/i.test(thrown.message);
      if (!isEarly || now() > endMs) throw thrown;
      await wait(POLL_MS);
    }
  }
}

async function waitForObjects(
  settings: TestSettings,
  timeoutMs: number,
  around: ClusterSurroundings,
): Promise<Made> {
  const { api, signal, now, wait } = around;
  const ofNamespace = `${NAMESPACES}/${settings.namespace}`;
  const roles = rolesOf(settings);
  const pods = new Map<Role, readonly IP[]>();
  for (const endMs = now() + timeoutMs; ; await wait(POLL_MS)) {
    signal.throwIfAborted();
    const waiting: string[] = [];
    for (const { role, node } of roles.filter((each) => !pods.has(each.role))) {
      const pod = await api.read(`${ofNamespace}/pods/${role}`, signal);
      const ips = ipsOf(listAt(pod, 'status', 'podIPs').map((each) => textAt(each, 'ip')));
      if (isReady(pod) && ips.length > 0) pods.set(role, ips);
      else waiting.push(`${role} on ${node} (${whyNotReady(pod)})`);
    }
    if (waiting.length === 0) break;
    if (now() > endMs) throw new BusyError(`pods are not ready: ${waiting.join(', ')}`);
  }
  const service = await api.read(`${ofNamespace}/services/web`, signal);
  const [port] = listAt(service, 'spec', 'ports');
  const nodePort = valueAt(port, 'nodePort');
  return {
    pods,
    nodes: new Map(roles.map(({ role, node }) => [role, node])),
    clusterIPs: ipsOf(listAt(service, 'spec', 'clusterIPs')),
    nodePort: typeof nodePort === 'number' ? nodePort : undefined,
    nodeAddresses: await addressesOfNode(settings.thisNode, around),
    dns: await dnsAddresses(around),
  };
}

async function addressesOfNode(name: string, { api, signal }: ClusterSurroundings) {
  const node = await api.read(`/api/v1/nodes/${name}`, signal);
  const internal = listAt(node, 'status', 'addresses').filter((each) => {
    return textAt(each, 'type') === 'InternalIP';
  });
  return ipsOf(internal.map((each) => textAt(each, 'address')));
}

/** A cluster need not have that Service. */
async function dnsAddresses({ api, signal }: ClusterSurroundings): Promise<readonly IP[]> {
  try {
    const service = await api.read(`${NAMESPACES}/kube-system/services/kube-dns`, signal);
    return ipsOf(listAt(service, 'spec', 'clusterIPs'));
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 404) return [];
    throw thrown;
  }
}

/**
 * Of runs that were killed: of this node, where only one runs at a time, and those of others that none can need
 * any more. How old they are the namespace of this run tells: it is new, and this node's clock may be wrong.
 */
async function removeLeft(
  { namespace, thisNode }: TestSettings,
  around: ClusterSurroundings,
): Promise<void> {
  const { api, signal } = around;
  const nowMs = createdAtMs(await api.read(`${NAMESPACES}/${namespace}`, signal));
  const left = (await labelledNamespaces(around)).filter((other) => {
    if (textAt(other, 'metadata', 'name') === namespace) return false;
    const isOwn = textAt(other, 'metadata', 'annotations', RUN_BY) === thisNode;
    return isOwn || nowMs - createdAtMs(other) > LONGEST_RUN_MS;
  });
  const names = left.map((namespace) => textAt(namespace, 'metadata', 'name'));
  // Whoever may label a namespace must not have it removed.
  const own = names.filter((name) => OWN_NAME.test(name));
  for (const name of own) await remove(name, around);
  // Their pods have the host port until then.
  for (const name of own) await untilGone(name, around);
}

/** Of those that somebody else has labelled there may be many before ours. */
async function labelledNamespaces({ api, signal }: ClusterSurroundings): Promise<unknown[]> {
  const found: unknown[] = [];
  const path = `${NAMESPACES}?limit=${PAGE}&labelSelector=${encodeURIComponent(TEST_LABEL)}`;
  let next = '';
  do {
    const from = next === '' ? '' : `&continue=${encodeURIComponent(next)}`;
    const page = await api.read(path + from, signal);
    found.push(...listAt(page, 'items'));
    next = textAt(page, 'metadata', 'continue');
  } while (next !== '' && found.length < MOST_LEFT);
  return found;
}

function createdAtMs(object: unknown): number {
  return Date.parse(textAt(object, 'metadata', 'creationTimestamp'));
}

async function untilGone(
  name: string,
  { api, signal, now, wait }: ClusterSurroundings,
): Promise<void> {
  for (const endMs = now() + GONE_MS; ; await wait(POLL_MS)) {
    signal.throwIfAborted();
    try {
      await api.read(`${NAMESPACES}/${name}`, signal);
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status === 404) return;
      throw thrown;
    }
    if (now() > endMs) {
      throw new BusyError(
        `namespace ${name} of a former run is still being removed: kubectl describe namespace ${name}`,
      );
    }
  }
}

const OWN_NAME = new RegExp(`^${NAMESPACE_PREFIX}[0-9a-f]{6}$`);

async function remove(name: string, { api, print }: ClusterSurroundings): Promise<void> {
  try {
    await api.delete(`${NAMESPACES}/${name}`, AbortSignal.timeout(REMOVAL_MS));
    print(`removed namespace ${name}\n`);
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 404) return;
    const reason = toError(thrown).message;
    throw new WeftError(
      'EIO',
      `namespace ${name} is left: kubectl delete namespace ${name} (${reason})`,
    );
  }
}

function isReady(object: unknown): boolean {
  return listAt(object, 'status', 'conditions').some((condition) => {
    return textAt(condition, 'type') === 'Ready' && textAt(condition, 'status') === 'True';
  });
}

function whyNotReady(pod: unknown): string {
  const [container] = listAt(pod, 'status', 'containerStatuses');
  const reason = textAt(container, 'state', 'waiting', 'reason');
  return reason || textAt(pod, 'status', 'reason') || textAt(pod, 'status', 'phase') || 'unknown';
}

function ipsOf(texts: readonly unknown[]): readonly IP[] {
  return texts.flatMap((text) => (typeof text === 'string' ? (tryParseIP(text) ?? []) : []));
}
