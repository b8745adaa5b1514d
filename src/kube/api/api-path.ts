import type { ResourceKind } from '../resources.ts';

/** Which of a resource's selectors the server is asked to evaluate. */
export interface Selection {
  readonly resource: ResourceKind;
  readonly usesFieldSelector: boolean;
}

/** Path and query of a list; `limit` 0 asks for everything at once. */
export function listPath(selection: Selection, limit: number, continueToken: string): string {
  const query = selectorQuery(selection);
  if (limit > 0) query.set('limit', String(limit));
  if (continueToken !== '') query.set('continue', continueToken);
  const text = query.toString();
  return resourcePath(selection.resource) + (text === '' ? '' : `?${text}`);
}

/** Path and query of a watch with bookmarks that the server ends after `seconds`. */
export function watchPath(selection: Selection, resourceVersion: string, seconds: number): string {
  const query = selectorQuery(selection);
  query.set('watch', '1');
  query.set('allowWatchBookmarks', 'true');
  query.set('resourceVersion', resourceVersion);
  query.set('timeoutSeconds', String(seconds));
  return `${resourcePath(selection.resource)}?${query}`;
}

function resourcePath({ group, version, plural }: ResourceKind): string {
  return group === '' ? `/api/${version}/${plural}` : `/apis/${group}/${version}/${plural}`;
}

function selectorQuery({ resource, usesFieldSelector }: Selection): URLSearchParams {
  const query = new URLSearchParams();
  if (resource.labelSelector !== undefined) query.set('labelSelector', resource.labelSelector);
  if (usesFieldSelector && resource.fieldSelector !== undefined) {
    query.set('fieldSelector', resource.fieldSelector);
  }
  return query;
}
