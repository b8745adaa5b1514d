import { expect, test } from 'vitest';
import { NodePresence } from '../../../../src/agent/proxy/node-presence.ts';
import { recordingLog } from '../../../support/kube.ts';

function lab(names: readonly string[] | Error, needsNode = true) {
  const node = { isMissing: true };
  const { log, records } = recordingLog();
  const presence = new NodePresence({
    nodeName: 'wroker-1',
    needsNode,
    isMissing: () => node.isMissing,
    nodeNames: () => (names instanceof Error ? Promise.reject(names) : Promise.resolve(names)),
    log,
  });
  const lines = () => records.filter(({ msg }) => msg === 'node not found');
  return { node, presence, lines };
}

test('a name that no Node has is a problem, the nearest is named with the flags', async () => {
  const { presence, lines, node } = lab(['worker-1', 'control-plane']);
  await presence.check();
  expect(presence.problems()).toEqual([
    'no Node is called "wroker-1" (did you mean worker-1?): endpoints on this node count as another\'s',
  ]);
  expect(lines()).toMatchObject([
    {
      level: 'warn',
      node: 'wroker-1',
      cure: expect.stringMatching(/--node-name.*--hostname-override/),
    },
  ]);
  node.isMissing = false;
  expect(presence.problems()).toEqual([]);
});

test('also where the others may not be read', async () => {
  const { presence, lines } = lab(new Error('403 Forbidden'));
  await presence.check();
  expect(presence.problems()).toEqual([expect.stringContaining('no Node is called "wroker-1":')]);
  expect(lines()).toHaveLength(1);
});

test('files need no Nodes, but one of another name is worth a word', async () => {
  const without = lab([], false);
  await without.presence.check();
  expect([without.presence.problems(), without.lines()]).toEqual([[], []]);
  const other = lab(['worker-1'], false);
  await other.presence.check();
  expect(other.presence.problems()).toEqual([expect.stringContaining('did you mean worker-1?')]);
});
