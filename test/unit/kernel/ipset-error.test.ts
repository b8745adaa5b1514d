import { expect, test } from 'vitest';
import { asIpSetError, noIpSet, noIpSetType } from '../../../src/kernel/ipset-error.ts';
import { NetlinkError } from '../../../src/netlink/socket.ts';

/** An NLMSG_ERROR with that errno. */
function refusal(errno: number): NetlinkError {
  const payload = Buffer.alloc(20);
  payload.writeInt32LE(-errno, 0);
  return new NetlinkError({ type: 2, flags: 0, sequence: 1, portId: 1, payload }, 'request');
}

test.each([
  { errno: 17, type: undefined, code: 'EEXIST', want: /another type, family or size/ },
  { errno: 4100, type: undefined, code: 'IPSET_ERR_BUSY', want: /delete those first/ },
  { errno: 4352, type: 'hash:ip', code: 'IPSET_ERR_HASH_FULL', want: /maxElements/ },
  { errno: 4352, type: 'bitmap:port', code: 'IPSET_ERR_BITMAP_RANGE', want: /range/ },
  { errno: 1, type: undefined, code: 'EPERM', want: /^add x of set KUBE-X: EPERM$/ },
])('$errno: $code', ({ errno, type, code, want }) => {
  const refused = { what: 'add x of set KUBE-X', set: 'KUBE-X', ...(type ? { type } : {}) };
  const cause = refusal(errno);
  expect(asIpSetError(cause, refused)).toMatchObject({
    ...{ name: 'IpSetError', code, set: 'KUBE-X', cause },
    message: expect.stringMatching(want),
  });
});

test('what is no refusal stays what it is', () => {
  const error = new Error('socket is gone');
  expect(asIpSetError(error, { what: 'swap', set: 'a' })).toBe(error);
});

test.each([
  { error: noIpSet(undefined), want: /no ipset.*"modprobe ip_set".*CONFIG_IP_SET$/ },
  {
    error: noIpSetType('hash:ip,port,net', undefined),
    want: /"modprobe ip_set_hash_ipportnet".*CONFIG_IP_SET_HASH_IPPORTNET$/,
  },
  {
    error: noIpSetType('bitmap:port', undefined),
    want: /"modprobe ip_set_bitmap_port".*CONFIG_IP_SET_BITMAP_PORT$/,
  },
])('$error.message', ({ error, want }) => {
  expect(error.code).toBe('IO');
  expect(error.message).toMatch(want);
});
