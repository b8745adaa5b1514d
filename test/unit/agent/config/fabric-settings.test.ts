import { describe, expect, test } from 'vitest';
import { resolveAgentConfig } from '../../../../src/agent/config/agent-config.ts';
import { planReload } from '../../../../src/agent/config/reload.ts';
import { ConfigError } from '../../../../src/util/errors.ts';

const surroundings = { hostname: 'node-a', environment: {} };

function config(section: string) {
  const text = `manifests: /objects\n${section}`;
  return resolveAgentConfig({}, [{ path: 'weft.yaml', text }], surroundings);
}

test('a file without the section has the defaults', () => {
  expect(config('').fabric).toEqual({
    backend: 'auto',
    tunnelPort: 8472,
    vni: 201,
    probePort: 8473,
    mtu: 0,
    clusterCIDRs: [],
    masquerade: true,
    masqueradeExceptions: [],
    masqueradeIPv6: 'ula',
    manageConflist: true,
    conflistName: '10-weft.conflist',
  });
});

test('networks are made canonical', () => {
  const { fabric } = config(`fabric:
  backend: vxlan
  mtu: 1280
  clusterCIDRs: [10.244.1.7/16, "FD00:0::/56"]
  masqueradeExceptions: [192.168.0.0/16]
`);
  expect(fabric).toMatchObject({
    ...{ backend: 'vxlan', mtu: 1280 },
    clusterCIDRs: ['10.244.0.0/16', 'fd00::/56'],
    masqueradeExceptions: ['192.168.0.0/16'],
  });
});

describe('what is wrong is told with its line', () => {
  const mtu = 'expected 0 or 1280 to 65535, found 576: IPv6 needs 1280 on every link (RFC 8200)';
  const name = 'expected a file name such as 10-weft.conflist, found';
  test.each([
    ['backend: ipip', 'backend: expected one of "auto", "host-gw", "vxlan", "none", found string'],
    ['tunnelPort: 0', 'tunnelPort: expected a whole number, 1 to 65535, found 0'],
    ['tunnelPort: 65536', 'tunnelPort: expected a whole number, 1 to 65535, found 65536'],
    ['vni: 16777216', 'vni: expected a whole number, 1 to 16777215, found 16777216'],
    ['mtu: 576', `mtu: ${mtu}, and a node may get IPv6 at any time`],
    ['mtu: 65536', 'mtu: expected a whole number, 0 to 65535, found 65536'],
    ['mtu: 1400.5', 'mtu: expected integer, found number 1400.5'],
    ['clusterCIDRs: [10.0.0.0]', 'clusterCIDRs: expected a CIDR such as 10.0.0.0/8'],
    ['masqueradeExceptions: [10.0.0.0/33]', 'masqueradeExceptions: expected a CIDR'],
    ['masqueradeIPv6: gua', 'masqueradeIPv6: expected one of "ula", "all", "none"'],
    ['conflistName: ../a.conflist', `conflistName: ${name} "../a.conflist"`],
    ['conflistName: a.conf', `conflistName: ${name} "a.conf"`],
    ['conflistName: .a.conflist', `conflistName: ${name} ".a.conflist"`],
    ['tunelPort: 1', 'tunelPort: unknown key (did you mean tunnelPort?)'],
  ])('%s', (line, reason) => {
    const resolve = () => config(`fabric:\n  ${line}\n`);
    expect(resolve).toThrow(ConfigError);
    expect(resolve).toThrow(`weft.yaml:3: fabric.${reason}`);
  });
});

test('a running agent takes over what routes can follow, and names what it keeps', () => {
  const changed =
    'fabric: {mtu: 1400, clusterCIDRs: [10.0.0.0/8], vni: 7, conflistName: x.conflist}';
  const plan = planReload(config(''), config(changed));
  expect(plan.applied).toEqual(['fabric.mtu', 'fabric.clusterCIDRs']);
  expect(plan.kept).toEqual(['fabric.vni', 'fabric.conflistName']);
  expect(plan.config.fabric).toMatchObject({ mtu: 1400, clusterCIDRs: ['10.0.0.0/8'], vni: 201 });
});
