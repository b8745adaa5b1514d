import type { ApiObject } from './fake-api-objects.ts';

interface Condition {
  readonly type: string;
}

/** A strategic merge patch of status.conditions, whose key is `type` (core/v1 NodeStatus). */
export function mergeConditions(node: ApiObject, change: unknown): ApiObject {
  const conditions = new Map(conditionsOf(node).map((each) => [each.type, each] as const));
  for (const each of conditionsOf(change)) {
    conditions.set(each.type, { ...conditions.get(each.type), ...each });
  }
  const status = { ...Object(node['status']), conditions: [...conditions.values()] };
  return { ...node, status };
}

function conditionsOf(object: unknown): readonly Condition[] {
  // Tests send and hold objects of this shape only.
  return (object as { status?: { conditions?: readonly Condition[] } }).status?.conditions ?? [];
}

/** Whether a change names no version of the object, or the one that it has. */
export function isOfVersion({ metadata }: ApiObject, change: unknown): boolean {
  // Tests and clients send objects with metadata only.
  const wanted = (change as Partial<ApiObject>).metadata?.resourceVersion;
  return wanted === undefined || wanted === metadata.resourceVersion;
}

/** A merge patch (RFC 7386): lists are replaced. */
export function mergeObject(object: ApiObject, change: unknown): ApiObject {
  return merged(object, change) as ApiObject;
}

function merged(one: unknown, other: unknown): unknown {
  if (!isRecord(one) || !isRecord(other)) return other;
  const members = Object.entries(other).map(([key, value]) => [key, merged(one[key], value)]);
  return { ...one, ...Object.fromEntries(members) };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
