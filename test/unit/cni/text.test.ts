import { describe, expect, test } from 'vitest';
import { parseCniArgs, podOf } from '../../../src/cni/protocol/args.ts';
import { toCniError, unsupportedField } from '../../../src/cni/protocol/errors.ts';
import {
  canonicalKeys,
  compactJson,
  indentedJson,
  memberOf,
  sortedKeys,
} from '../../../src/cni/protocol/json.ts';
import { isAtLeast, versionReply } from '../../../src/cni/protocol/versions.ts';
import {
  BusyError,
  ConfigError,
  DecodeError,
  IoError,
  WeftError,
} from '../../../src/util/errors.ts';

describe('Go JSON', () => {
  const schema = {
    $defs: { range: { properties: { rangeStart: {} } } },
    properties: {
      isGateway: {},
      ipam: { properties: { ranges: { items: { items: { $ref: '#/$defs/range' } } } } },
    },
  };
  test.each([
    ['keys in another case', { ISGATEWAY: true }, { isGateway: true }],
    ['unknown keys stay', { other: { a: null } }, { other: { a: null } }],
    ['null is absent', { isGateway: null, x: null }, {}],
    ['the last spelling counts', { isgateway: false, isGateway: true }, { isGateway: true }],
    [
      'through arrays and references',
      { IPAM: { Ranges: [[{ RANGESTART: 'a' }]] } },
      { ipam: { ranges: [[{ rangeStart: 'a' }]] } },
    ],
    ['wrong types pass unchanged', { ipam: 5 }, { ipam: 5 }],
  ])('%s', (_name, value, want) => {
    expect(canonicalKeys(value, schema)).toEqual(want);
  });

  test('a key named __proto__ is a key like any other', () => {
    const value = canonicalKeys(JSON.parse('{"__proto__":{"isGateway":true}}'), schema);
    expect(memberOf(Object(value), 'isGateway')).toBeUndefined();
  });

  test('escapes what encoding/json escapes', () => {
    expect(compactJson({ a: '<&>\u2028"' })).toBe('{"a":"\\u003c\\u0026\\u003e\\u2028\\""}');
  });

  test('indents by four and sorts like a Go map', () => {
    const value = sortedKeys({ b: [{ d: 1, c: {} }], a: undefined, Z: 0 });
    expect(indentedJson(value)).toBe(
      '{\n    "Z": 0,\n    "b": [\n        {\n            "c": {},\n            "d": 1\n        }\n    ]\n}',
    );
  });
});

describe('versions', () => {
  test.each([
    ['0.4.0', '0.4.0', true],
    ['0.3.1', '0.4.0', false],
    ['1.1.0', '0.4.0', true],
    ['1.0.0', '1.1.0', false],
    ['', '0.1.0', true],
    ['', '0.2.0', false],
    ['1', '1.0.0', true],
  ] as const)('%j is at least %s: %s [31]', (version, minimum, want) => {
    expect(isAtLeast(version, minimum)).toBe(want);
  });

  test.each(['1.0.0.0', 'a.b.c', '1.-1.0', '1..0'])('%j is malformed [31]', (version) => {
    expect(() => isAtLeast(version, '1.0.0')).toThrow('failed to parse CNI version');
  });

  test('VERSION is one line', () => {
    expect(versionReply()).toBe(
      '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
    );
  });
});

describe('CNI_ARGS [30]', () => {
  const kubernetes =
    'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1';
  test.each<[string, unknown]>([
    ['', {}],
    [kubernetes, { podNamespace: 'default', podName: 'web', podUid: '1' }],
    ['IP=10.1.2.3;MAC=c2:b0:57:49:47:f1', { ip: '10.1.2.3', mac: 'c2:b0:57:49:47:f1' }],
    ['IgnoreUnknown=True;X=1', {}],
    ['IgnoreUnknown=false', {}],
  ])('%j', (text, want) => {
    expect(parseCniArgs(text)).toEqual(want);
  });

  test.each([
    ['X=1;Y=2', 'unknown args ["X" "Y"]'],
    ['IgnoreUnknown=0;X=1', 'unknown args ["X"]'],
    ['ip=10.1.2.3', 'unknown args ["ip"]'],
    ['IP=1=2', 'invalid pair "IP=1=2"'],
    ['IP=10.1.2.3;', 'invalid pair ""'],
    ['IgnoreUnknown=maybe', 'error parsing value'],
  ])('%j is refused', (text, message) => {
    expect(() => parseCniArgs(text)).toThrow(message);
  });
});

test.each<[string, unknown]>([
  [
    'K8S_POD_NAMESPACE=a;X;K8S_POD_NAME=b=c;K8S_POD_UID=',
    { podNamespace: 'a', podName: 'b=c', podUid: '' },
  ],
  [';;=', {}],
  ['', {}],
])('the pod of CNI_ARGS %j is told whatever else is in there', (text, want) => {
  expect(podOf(text)).toEqual(want);
});

describe('error codes [17]', () => {
  test.each([
    [new ConfigError('mtu', 'mtu is odd'), 7, 'mtu is odd'],
    [new ConfigError('ipam.subnet', 'is odd'), 7, 'ipam.subnet: is odd'],
    [new BusyError('later'), 11, 'later'],
    [new IoError('disk'), 5, 'disk'],
    [new DecodeError('text'), 6, 'text'],
    [new WeftError('NETNS', 'none'), 8, 'none'],
    [new Error('bug'), 999, 'bug'],
    ['text', 999, 'text'],
    [unsupportedField('vlan', 5), 2, 'unsupported field in network configuration: vlan = 5'],
  ])('%s', (thrown, code, message) => {
    const { cniCode, message: text } = toCniError(thrown);
    expect({ cniCode, text }).toEqual({ cniCode: code, text: message });
  });

  test('what the message says already is no detail', () => {
    const error = new IoError('outer: inner', { cause: new Error('inner') });
    expect(toCniError(error)).toMatchObject({ message: 'outer: inner', details: undefined });
  });

  test('[29] the cause becomes the details', () => {
    const error = new IoError('outer', { cause: new Error('inner') });
    expect(toCniError(error).details).toBe('inner');
  });
});
