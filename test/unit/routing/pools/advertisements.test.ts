import { expect, test } from 'vitest';
import {
  decodeBGPAdvertisement,
  decodeL2Advertisement,
} from '../../../../src/kube/advertisements.ts';
import {
  advertisementProblems,
  type TellingSettings,
} from '../../../../src/routing/pools/advertisements.ts';

const metadata = { name: 'lan', namespace: 'metallb-system' };
const ON: TellingSettings = { announceOnLinks: true, advertise: new Set(['loadBalancerIPs']) };
const OFF: TellingSettings = { announceOnLinks: false, advertise: new Set(['podCIDRs']) };

const ofL2 = (spec?: object, settings = ON) =>
  advertisementProblems(decodeL2Advertisement({ metadata, spec }, 'strict'), settings);
const ofBGP = (spec?: object, settings = ON) =>
  advertisementProblems(decodeBGPAdvertisement({ metadata, spec }, 'strict'), settings);

test('who limits nothing is served as it is', () => {
  expect(ofL2()).toEqual([]);
  expect(ofL2({ ipAddressPools: [], interfaces: [], nodeSelectors: null })).toEqual([]);
  // What the API server fills in.
  expect(ofBGP({ aggregationLength: 32, aggregationLengthV6: 128 })).toEqual([]);
});

test('an advertisement of a kind that is switched off says what to set', () => {
  expect(ofL2({}, OFF)).toEqual([
    'L2Advertisement metallb-system/lan has no effect: set routing.announceOnLinks: true',
  ]);
  expect(ofBGP({}, OFF)).toEqual([
    'BGPAdvertisement metallb-system/lan has no effect: set routing.advertise: [loadBalancerIPs], and its BGPPeers as routing.peers',
  ]);
});

test.each([
  ['ipAddressPools', ['a']],
  ['ipAddressPoolSelectors', [{}]],
  ['nodeSelectors', [{}]],
  ['interfaces', ['eth1']],
  ['serviceSelectors', [{}]],
])('of an L2Advertisement %s is told of', (key, value) => {
  const [problem, another] = ofL2({ [key]: value });
  expect(problem).toMatch(`L2Advertisement metallb-system/lan: ${key} is not read: `);
  expect(another).toBeUndefined();
});

test.each([
  ['ipAddressPools', ['a']],
  ['peers', ['rack']],
  ['communities', ['64512:1']],
  ['localPref', 200],
  ['aggregationLength', 24],
  ['constructor', 1],
])('of a BGPAdvertisement %s is told of', (key, value) => {
  const [problem, another] = ofBGP({ [key]: value });
  expect(problem).toMatch(`BGPAdvertisement metallb-system/lan: ${key} is not read: `);
  expect(another).toBeUndefined();
});

test('a key that nobody knows is not passed over', () => {
  expect(ofL2({ serviceSelectors: [{}] })[0]).toContain('weft does not know it');
});
