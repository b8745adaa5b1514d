import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import {
  negated,
  podSources,
  ruleText,
} from '../../../../../src/proxy/modes/iptables/rule-text.ts';

describe('rule text', () => {
  test.each([
    ['a name', 'ns/web:http', '"ns/web:http"'],
    ['a quote', 'a" -j ACCEPT', '"a? -j ACCEPT"'],
    ['a new line', 'a\nCOMMIT\n*raw', '"a?COMMIT??raw"'],
    ['a backslash', 'a\\', '"a?"'],
    ['other writing', 'größe', '"gr??e"'],
    ['too much', 'n'.repeat(300), `"${'n'.repeat(255)}"`],
  ])('a comment with %s', (_, comment, want) => {
    expect(ruleText({ comment })).toBe(`-m comment --comment ${want}`);
  });

  test.each([
    [{ kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] }, '-s 10.0.0.0/8', '! -s 10.0.0.0/8'],
    [{ kind: 'bridge', name: 'br0' }, '-i br0', '! -i br0'],
    [{ kind: 'bridge', name: 'a"b' }, '-i "a\\"b"', '! -i "a\\"b"'],
    [{ kind: 'interfacePrefix', prefix: 'cali' }, '-i cali+', '! -i cali+'],
  ] as const)('pods by %o', (detector, want, wantNegated) => {
    const [pods = {}] = podSources(detector);
    expect(ruleText(pods)).toBe(want);
    expect(ruleText(negated(pods))).toBe(wantNegated);
  });
});
