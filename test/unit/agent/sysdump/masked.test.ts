import { describe, expect, test } from 'vitest';
import { maskedText, maskedValue } from '../../../../src/agent/sysdump/masked.ts';

const PEM = [
  '-----BEGIN RSA PRIVATE KEY-----',
  'MIIhunter2',
  'hunter2==',
  '-----END RSA PRIVATE KEY-----',
];
const JWT = `eyJhbGciOiJSUzI1NiJ9.${'hunter2'.repeat(3)}.hunter2-_hunter2`;

describe('text', () => {
  test.each([
    ['PEM', PEM.join('\n')],
    ['PEM in one line of JSON', JSON.stringify({ note: PEM.join('\n') })],
    ['PEM that is cut off', PEM.slice(0, 3).join('\n')],
    ['a JSON Web Token', `failed: ${JWT} was refused`],
    ['a header', 'authorization: Bearer hunter2.hunter2/hunter2'],
    ['basic authentication', 'Authorization: Basic aHVudGVyMg+hunter2=='],
    ['a URL', 'connect https://admin:hunter2@10.0.0.1:6443/api failed'],
    ['a line of YAML', 'password: hunter2'],
    ['an assignment', 'ETCD_PASSWORD=hunter2 started'],
    ['a quoted assignment', "db_passwd='hunter2 hunter2'"],
    ['JSON', '{"clientSecret":"hunter2 \\"hunter2\\"","a":1}'],
    ['JSON in JSON', '{"msg":"{\\"token\\":\\"hunter2\\"}"}'],
    [
      'kubeconfig',
      'users:\n- user:\n    client-key-data: aHVudGVyMg==hunter2\n    token: hunter2\n',
    ],
    ['a token of kubeadm', 'join with abcdef.0123456789hunter'],
  ])('%s', (_name, text) => {
    const masked = maskedText(text);
    expect(masked).not.toMatch(/hunter|MII|aHVu/);
    expect(masked).toContain('***');
  });

  test.each([
    'shop/web-1:8080 -> 10.0.0.1:443 established',
    '{"level":"info","msg":"services and endpoints read"}',
    'net/ipv4/ip_forward = 1',
    'https://10.0.0.1:6443/api?a=b',
    '-----BEGIN CERTIFICATE-----',
  ])('%s stays', (text) => {
    expect(maskedText(text)).toBe(text);
  });

  test('JSON stays JSON', () => {
    const lines = [{ token: 'hunter2' }, { msg: JSON.stringify({ password: 'hunter2', a: 1 }) }];
    for (const line of lines) {
      expect(() => JSON.parse(maskedText(JSON.stringify(line)))).not.toThrow();
    }
  });

  test('what somebody wrote to hold it up takes no longer', () => {
    const startedAt = performance.now();
    for (const word of ['a', 'eyJ', 'token', 'http://', '-----BEGIN ', 'Bearer ', '\\"', '"']) {
      maskedText(word.repeat(300_000));
    }
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

test('values by the names of their keys', () => {
  expect(
    maskedValue({
      ...{ name: 'pods', ipMasq: true, mtu: 1400 },
      plugins: [{ type: 'x', api_token: 'a', 'private-key': ['b'], key: 'c', auth: { user: 'd' } }],
      env: { ANYTHING: 'e', isOn: true },
      empty: { password: '', secret: null },
    }),
  ).toEqual({
    ...{ name: 'pods', ipMasq: true, mtu: 1400 },
    plugins: [
      { type: 'x', api_token: '***', 'private-key': ['***'], key: '***', auth: { user: '***' } },
    ],
    env: { ANYTHING: '***', isOn: true },
    empty: { password: '', secret: null },
  });
});
