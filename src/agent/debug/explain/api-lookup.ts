/** What the API server says of objects that the agent does not follow: asked for only when people ask. */
import { listAt, textAt, valueAt } from '../../../kube/json-fields.ts';
import { tryParseIP } from '../../../net/ip.ts';
import type { NamedParty } from '../named-packet.ts';

/** The part of the API client that is used. */
export interface ObjectReader {
  read(path: string, signal: AbortSignal): Promise<unknown>;
}

export interface Selection {
  /** `app=web,tier=db`; empty for a Service without one. */
  readonly selector: string;
  /** Some pod has these labels. */
  readonly isMatched: boolean;
}

const NAMESPACES = '/api/v1/namespaces';
const TIMEOUT_MS = 2_000;

/** A pod of any node by `namespace/name`; undefined where nobody says, or may ask. */
export async function lookUpPod(
  name: string,
  reader: ObjectReader,
  signal: AbortSignal,
): Promise<NamedParty | undefined> {
  const [namespace = '', own = '', ...rest] = name.split('/');
  if (own === '' || rest.length > 0 || namespace === 'node') return undefined;
  const pod = await first(
    `${NAMESPACES}/${encodeURIComponent(namespace)}/pods`,
    nameIs(own),
    reader,
    signal,
  );
  const texts = listAt(pod, 'status', 'podIPs').map((each) => textAt(each, 'ip'));
  const ips = texts.flatMap((text) => tryParseIP(text) ?? []);
  return ips.length === 0 ? undefined : { ips, ports: portsOf(pod) };
}

/** Which pods a Service, `namespace/name`, asks for, and whether there are any. */
export async function lookUpSelection(
  service: string,
  reader: ObjectReader,
  signal: AbortSignal,
): Promise<Selection | undefined> {
  const [namespace = '', name = ''] = service.split('/').map(encodeURIComponent);
  const found = await first(`${NAMESPACES}/${namespace}/services`, nameIs(name), reader, signal);
  if (found === undefined) return undefined;
  const labels = Object.entries(Object(valueAt(found, 'spec', 'selector')));
  const selector = labels.map(([key, value]) => `${key}=${value}`).join(',');
  if (selector === '') return { selector, isMatched: false };
  const query = `labelSelector=${encodeURIComponent(selector)}`;
  const list = await tryRead(`${NAMESPACES}/${namespace}/pods?limit=1&${query}`, reader, signal);
  return list === undefined ? undefined : { selector, isMatched: listAt(list, 'items').length > 0 };
}

function nameIs(name: string): string {
  return `fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`;
}

/** By a list: that is what the agent may do with every kind it reads. */
async function first(
  path: string,
  query: string,
  reader: ObjectReader,
  signal: AbortSignal,
): Promise<unknown> {
  return listAt(await tryRead(`${path}?limit=1&${query}`, reader, signal), 'items')[0];
}

/** A server that does not answer, or refuses, leaves the answer as it is without it. */
async function tryRead(path: string, reader: ObjectReader, signal: AbortSignal): Promise<unknown> {
  try {
    return await reader.read(path, AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]));
  } catch {
    return undefined;
  }
}

function portsOf(pod: unknown): NamedParty['ports'] {
  return listAt(pod, 'spec', 'containers')
    .flatMap((container) => listAt(container, 'ports'))
    .flatMap((each) => {
      const [name, port] = [textAt(each, 'name'), valueAt(each, 'containerPort')];
      const protocol = PROTOCOLS.find((known) => known === (textAt(each, 'protocol') || 'TCP'));
      if (name === '' || typeof port !== 'number' || protocol === undefined) return [];
      return [{ name, port, protocol }];
    });
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
