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
