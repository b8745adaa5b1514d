import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allocate, release, reservedAddresses } from '../../../src/ipam/allocate.ts';
import {
  buildRangeSets,
  type RangesConfig,
  requestedAddresses,
} from '../../../src/ipam/range-config.ts';
import { toError } from '../../../src/util/errors.ts';
import {
  filesOf,
  openStore,
  owner,
  REFERENCE,
  runReference,
  temporaryDataDirectory,
} from './support.ts';

const ipam: RangesConfig = {
  ranges: [
    [{ subnet: '10.0.0.0/29' }, { subnet: '10.0.1.0/29', gateway: '10.0.1.4' }],
    [{ subnet: 'fd00::/64', rangeStart: 'fd00::a' }],
  ],
};
const sets = buildRangeSets('1.0.0', ipam);

describe.skipIf(!existsSync(REFERENCE))('the reference plugin on the same directory [117]', () => {
  test('both take turns, and each sees and frees what the other took', () => {
    const data = temporaryDataDirectory();
    const store = openStore(join(data, 'n'), { keepsIndex: true });
    const weftAdd = (id: string) => allocate(sets, store, owner(id)).map(({ address }) => address);
    const theirAdd = (id: string) => runReference('ADD', id, data, ipam).addresses;

    expect(theirAdd('r1')).toEqual(['10.0.0.2/29', 'fd00::a/64']);
    expect(weftAdd('w1')).toEqual(['10.0.0.3/29', 'fd00::b/64']);
    expect(theirAdd('r2')).toEqual(['10.0.0.4/29', 'fd00::c/64']);
    expect(weftAdd('w2')).toEqual(['10.0.0.5/29', 'fd00::d/64']);

    expect(() => weftAdd('r1')).toThrow('10.0.0.2 has been allocated to r1');
    expect(runReference('ADD', 'w1', data, ipam).message).toContain(
      '10.0.0.3 has been allocated to w1, duplicate allocation is not allowed',
    );
    expect(runReference('CHECK', 'w1', data, ipam).status).toBe(0);
    expect(runReference('DEL', 'w1', data, ipam).status).toBe(0);
    expect(reservedAddresses(store, owner('w1'))).toEqual([]);
    expect(release(store, owner('r1'))).toEqual(['10.0.0.2', 'fd00::a']);
    expect(runReference('CHECK', 'r1', data, ipam).status).not.toBe(0);
    expect(
      store
        .list()
        .map(({ containerId }) => containerId)
        .sort(),
    ).toEqual(['r2', 'r2', 'w2', 'w2']);
  });

  test('the same calls leave the same files, byte for byte', () => {
    const [theirs, ours] = [temporaryDataDirectory(), temporaryDataDirectory()];
    const store = openStore(join(ours, 'n'));
    const steps = 'a+ b+ c+ b- d+ e+ f+ a- g+ h+ i+ j+ k+ e- l+ m+ d- c- n+ o+ p+'.split(' ');
    for (const step of steps) {
      const [id = '', verb] = step;
      const want = runReference(verb === '+' ? 'ADD' : 'DEL', id, theirs, ipam);
      try {
        const got =
          verb === '+' ? allocate(sets, store, owner(id)) : release(store, owner(id)) && [];
        expect({ step, addresses: got.map(({ address }) => address) }).toEqual({
          step,
          addresses: want.addresses,
        });
      } catch (error) {
        expect({ step, message: toError(error).message }).toEqual({
          step,
          message: want.message,
        });
      }
      expect(filesOf(join(ours, 'n'))).toEqual(filesOf(join(theirs, 'n')));
    }
  });

  test.each<{ config: RangesConfig; cniArgsIP?: string }>([
    { config: {} },
    { config: { ranges: [[]] } },
    { config: { subnet: '10.0.0.0' } },
    { config: { subnet: '10.0.0.0/31' } },
    { config: { subnet: '10.0.0.9/29' } },
    { config: { subnet: 'fd00::1/64' } },
    { config: { subnet: '::ffff:10.0.0.0/120' } },
    { config: { subnet: '10.0.0.0/24', rangeStart: '10.0.1.0' } },
    { config: { subnet: '10.0.0.0/24', rangeStart: '10.0.0.9', rangeEnd: '10.0.0.8' } },
    { config: { subnet: '10.0.0.0/24', rangeEnd: 'fd00::1' } },
    { config: { subnet: '10.0.0.0/24', gateway: '10.0.0' } },
    { config: { ranges: [[{ subnet: '10.0.0.0/24' }, { subnet: 'fd00::/64' }]] } },
    { config: { ranges: [[{ subnet: '10.0.0.0/24' }, { subnet: '10.0.0.64/26' }]] } },
    { config: { subnet: '10.0.0.0/24', ranges: [[{ subnet: '10.0.0.64/26' }]] } },
    { config: { subnet: '10.0.0.0/24' }, cniArgsIP: '10.0.0.1' },
    { config: { subnet: '10.0.0.0/24' }, cniArgsIP: '10.0.1.1/16' },
    { config: { subnet: '10.0.0.0/30', gateway: '10.0.0.2', rangeStart: '10.0.0.2' } },
  ])('$config $cniArgsIP fails with its message', ({ config, cniArgsIP }) => {
    const cniArgs = cniArgsIP === undefined ? '' : `IP=${cniArgsIP}`;
    const want = runReference('ADD', 'c', temporaryDataDirectory(), config, cniArgs);
    const store = openStore(join(temporaryDataDirectory(), 'n'));
    const add = () => {
      const requested = requestedAddresses({ cniArgsIP });
      return allocate(buildRangeSets('1.0.0', config), store, { ...owner('c'), requested });
    };
    expect(want.message).toBeDefined();
    expect(add).toThrow(expect.objectContaining({ message: want.message }));
  });
});
