import { describe, expect, test } from 'vitest';
import { parseValidAttachments } from '../../../../src/cni/protocol/valid-attachments.ts';

const one = [{ containerID: 'a', ifname: 'eth0' }];
const parsed = [{ containerId: 'a', ifName: 'eth0' }];

describe('what GC is told [47]', () => {
  test.each<[string, Readonly<Record<string, unknown>>, unknown]>([
    ['no list says nothing', {}, undefined],
    ['null says nothing', { 'cni.dev/valid-attachments': null }, undefined],
    ['an empty list: nothing is valid', { 'cni.dev/valid-attachments': [] }, []],
    ['the key of the specification', { 'cni.dev/valid-attachments': one }, parsed],
    ['the older key', { 'cni.dev/attachments': one }, parsed],
    ['both: the first counts', { 'cni.dev/valid-attachments': [], 'cni.dev/attachments': one }, []],
    [
      'members in another case',
      { 'cni.dev/attachments': [{ CONTAINERID: 'a', ifName: 'eth0' }] },
      parsed,
    ],
  ])('%s', (_name, config, want) => {
    expect(parseValidAttachments(config)).toEqual(want);
  });

  test.each<[unknown, string]>([
    ['x', '"cni.dev/valid-attachments" must be an array'],
    [{}, '"cni.dev/valid-attachments" must be an array'],
    [[5], '"cni.dev/valid-attachments[0]" must be an object'],
    [[{ ifname: 'eth0' }], '"cni.dev/valid-attachments[0].containerID" must be a string'],
    [
      [...one, { containerID: 'b', ifname: '' }],
      '"cni.dev/valid-attachments[1].ifname" must be a string',
    ],
  ])('%j is refused, not taken for an empty list', (value, message) => {
    expect(() => parseValidAttachments({ 'cni.dev/valid-attachments': value })).toThrow(message);
  });
});
