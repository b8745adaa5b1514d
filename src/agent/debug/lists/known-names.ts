import type { Steps } from '../../../util/turns.ts';
import { podKeyOf } from '../../policy/local-pods.ts';
import type { NamesKind } from './names.ts';
import type { Subjects } from './of-agent.ts';
import { readPodFacts } from './on-record.ts';

/** More than that is no help to who types. */
const MOST_NAMES = 200;
/** They go to a shell. */
const ORDINARY = /^[\w./:-]+$/;

/** Names of a kind that begin so, sorted: the first few. */
export function* namesSteps(
  kind: NamesKind,
  prefix: string,
  subjects: Subjects,
): Steps<readonly string[]> {
  const found = new Set<string>();
  for (const name of sourceOf(kind, subjects)) {
    if (name.startsWith(prefix) && ORDINARY.test(name)) found.add(name);
    yield;
  }
  return [...found].sort().slice(0, MOST_NAMES);
}

function sourceOf(kind: NamesKind, subjects: Subjects): Iterable<string> {
  const { proxy, fabric, context } = subjects;
  switch (kind) {
    case 'pods':
      return podNames(subjects);
    case 'services':
      return serviceNames(proxy);
    case 'parties':
      return [...podNames(subjects), ...serviceNames(proxy)];
    case 'namespaces':
      return [...podNames(subjects), ...serviceNames(proxy)].map(
        (key) => key.split('/', 1)[0] ?? '',
      );
    case 'nodes':
      return [context.config.nodeName, ...(fabric?.peers() ?? []).map(({ name }) => name)];
    case 'addresses':
      return readPodFacts(context.config.runDir).records.flatMap(({ addresses }) => addresses);
  }
}

function podNames({ context }: Subjects): readonly string[] {
  return readPodFacts(context.config.runDir).records.flatMap(({ pod }) => podKeyOf(pod) ?? []);
}

function* serviceNames(proxy: Subjects['proxy']): Generator<string> {
  for (const snapshot of proxy?.snapshots().values() ?? []) {
    for (const [key] of snapshot.services()) yield key;
  }
}
