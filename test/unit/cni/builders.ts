import type { Request } from '../../../src/cni/protocol/request.ts';

/** An ADD of `eth0` of container `pod-1` on network `net`, with what the test changes. */
export function request(change: Partial<Request> = {}): Request {
  return {
    verb: 'ADD',
    containerId: 'pod-1',
    netnsPath: '/run/netns/pod-1',
    ifName: 'eth0',
    args: '',
    path: ['/opt/cni/bin'],
    mayUseOwnNetns: false,
    cniVersion: '1.0.0',
    network: 'net',
    config: {},
    env: {},
    stdin: Buffer.alloc(0),
    ...change,
  };
}
