import { objectKey } from '../../src/kube/resources.ts';
import type { ObjectHandlers } from '../../src/kube/source.ts';
import type { KubernetesObject } from '../../src/kube/types.ts';
import { createLogger, type Logger } from '../../src/util/log.ts';
import type { ApiObject } from './fake-api-objects.ts';

/** Handlers that note every call as `add default/web`, and hold the objects they were told of. */
export class RecordingHandlers<T extends KubernetesObject> implements ObjectHandlers<T> {
  readonly events: string[] = [];
  readonly objects = new Map<string, T>();

  onAdd(object: T): void {
    this.events.push(`add ${objectKey(object)}`);
    this.objects.set(objectKey(object), object);
  }

  onUpdate(object: T, old: T): void {
    if (objectKey(old) !== objectKey(object)) throw new Error('update changes the key');
    this.events.push(`update ${objectKey(object)}`);
    this.objects.set(objectKey(object), object);
  }

  onDelete(object: T): void {
    this.events.push(`delete ${objectKey(object)}`);
    this.objects.delete(objectKey(object));
  }

  /** The events since the last call. */
  take(): string[] {
    return this.events.splice(0);
  }
}

/** A logger and the records it wrote. */
export function recordingLog(): {
  log: Logger;
  records: Record<string, unknown>[];
  text: () => string;
} {
  const lines: string[] = [];
  const records: Record<string, unknown>[] = [];
  const write = (line: string) => {
    lines.push(line);
    records.push(JSON.parse(line));
  };
  return { log: createLogger('trace', { write }), records, text: () => lines.join('') };
}

/** Waits until `condition` holds; fails after ten seconds. */
export async function until(condition: () => boolean, what = 'condition'): Promise<void> {
  const endsAt = performance.now() + 10_000;
  while (performance.now() < endsAt) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`timed out waiting for ${what}`);
}

/** A core/v1 Service as the API server or a manifest holds it. */
export function serviceObject(
  name: string,
  spec: Readonly<Record<string, unknown>> = {},
  labels?: Readonly<Record<string, string>>,
): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', ...(labels === undefined ? {} : { labels }) },
    spec: {
      clusterIP: '172.30.0.10',
      ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
      ...spec,
    },
  };
}
