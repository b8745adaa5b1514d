import { expect, test } from 'vitest';
import {
  API_CHECKS,
  type ApiFacts,
  type ReadCertificate,
} from '../../../../src/agent/checks/api.ts';
import { ApiError } from '../../../../src/kube/api/api-error.ts';
import { failureWords, missingRule } from '../../../../src/kube/api/failure-words.ts';
import type { Failing } from '../../../../src/kube/api/reflector.ts';
import { IoError } from '../../../../src/util/errors.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.parse('2026-01-10T12:00:00Z');
const CLIENT: ReadCertificate = {
  ...{ role: 'client', place: '/etc/weft/client.crt', subject: 'CN=weft', issuer: 'CN=cluster' },
  ...{ fromMs: NOW_MS - 300 * DAY_MS, untilMs: NOW_MS + 60 * DAY_MS },
};
const AUTHORITY: ReadCertificate = {
  ...CLIENT,
  ...{
    role: 'authority',
    place: '/etc/weft/ca.crt',
    subject: 'CN=cluster',
    untilMs: NOW_MS + 999 * DAY_MS,
  },
};
const SERVER: ReadCertificate = {
  ...CLIENT,
  role: 'server',
  place: 'the API server 10.0.0.1:6443',
};
const FACTS: ApiFacts = {
  location: 'API server 10.0.0.1:6443',
  hasCertificates: true,
  failing: [],
  nowMs: 70_000,
  isRestored: false,
  skewMs: 400,
  certificates: [CLIENT, AUTHORITY],
  serverCertificate: undefined,
  timeMs: NOW_MS,
  nodeProblem: undefined,
};

function failing(error: Error, resource = 'services'): Failing {
  const asked = { verb: 'list', resource } as const;
  return { ...failureWords(error, asked), asked, sinceMs: 10_000 };
}

function lost(code: string): Failing {
  return failing(new IoError('get', { cause: Object.assign(new Error('x'), { code }) }));
}

const forbidden = (resource: string) =>
  failing(new ApiError('get', { status: 403, reason: 'Forbidden', message: '' }), resource);

const REACH = 'see that the API server runs, and that its address and the route to it are right';

test.each<[string, string, Partial<ApiFacts>, string | undefined]>([
  ['api-server', 'good', {}, 'ok: API server 10.0.0.1:6443 answers'],
  [
    'api-server',
    'refused',
    { failing: [lost('ECONNREFUSED')] },
    `failing: API server 10.0.0.1:6443: connection refused for 60 s, serving what was known | ${REACH}`,
  ],
  [
    'api-server',
    'unreachable since the start',
    { failing: [lost('EHOSTUNREACH')], isRestored: true },
    `failing: API server 10.0.0.1:6443: no route to the host for 60 s, objects of the last run stand in | ${REACH}`,
  ],
  [
    'api-server',
    'not heard yet',
    { isRestored: true },
    `failing: API server 10.0.0.1:6443 was not heard since the start, objects of the last run stand in | ${REACH}`,
  ],
  [
    'api-server',
    'somebody may not read',
    { failing: [forbidden('services')] },
    'ok: API server 10.0.0.1:6443 answers',
  ],
  ['api-server', 'files', { location: undefined }, undefined],

  [
    'api-certificate',
    'good',
    {},
    'ok: the client certificate of /etc/weft/client.crt holds until 2026-03-11 12:00 UTC',
  ],
  ['api-certificate', 'a token', { certificates: [] }, "ok: the server's certificate is trusted"],
  [
    'api-certificate',
    'expires soon',
    { certificates: [{ ...CLIENT, untilMs: NOW_MS + DAY_MS }, AUTHORITY] },
    'warning: the client certificate of /etc/weft/client.crt holds until 2026-01-11 12:00 UTC | ' +
      "renew it (kubeadm certs renew), and check this node's clock",
  ],
  [
    'api-certificate',
    'of hours, and renewed',
    { certificates: [{ ...CLIENT, fromMs: NOW_MS - DAY_MS / 2, untilMs: NOW_MS + DAY_MS / 2 }] },
    'ok: the client certificate of /etc/weft/client.crt holds until 2026-01-11 00:00 UTC',
  ],
  [
    'api-certificate',
    'the client certificate has expired',
    { certificates: [{ ...CLIENT, untilMs: NOW_MS - 9 * DAY_MS }, AUTHORITY] },
    'failing: the client certificate of /etc/weft/client.crt has expired on 2026-01-01 12:00 UTC | ' +
      "renew it (kubeadm certs renew), and check this node's clock",
  ],
  [
    'api-certificate',
    "the server's has expired",
    {
      failing: [lost('CERT_HAS_EXPIRED')],
      serverCertificate: { ...SERVER, untilMs: NOW_MS - DAY_MS },
    },
    'failing: the server certificate of the API server 10.0.0.1:6443 has expired on 2026-01-09 12:00 UTC | ' +
      "renew it at the server (kubeadm certs renew), and check this node's clock",
  ],
  [
    'api-certificate',
    'not valid yet: a clock',
    {
      failing: [lost('CERT_NOT_YET_VALID')],
      serverCertificate: { ...SERVER, fromMs: NOW_MS + DAY_MS },
    },
    'failing: the server certificate of the API server 10.0.0.1:6443 is not valid before 2026-01-11 12:00 UTC | ' +
      "renew it at the server (kubeadm certs renew), and check this node's clock",
  ],
  [
    'api-certificate',
    'another authority',
    {
      failing: [lost('SELF_SIGNED_CERT_IN_CHAIN')],
      serverCertificate: { ...SERVER, issuer: 'CN=new' },
    },
    "failing: API server 10.0.0.1:6443: the server's certificate is of an unknown authority (it is of CN=new); " +
      'we trust CN=cluster of /etc/weft/ca.crt | ' +
      "the certificate authority of the kubeconfig or service account is not the server's: renew it there",
  ],
  ['api-certificate', 'files', { hasCertificates: false }, undefined],
  ['api-certificate', 'unreadable', { certificates: UNREADABLE }, UNKNOWN],

  ['api-access', 'good', {}, 'ok: the server lets us read what we need'],
  [
    'api-access',
    'forbidden',
    { failing: [forbidden('services'), forbidden('endpointslices.discovery.k8s.io')] },
    'failing: API server 10.0.0.1:6443: we may not list services (403); ' +
      'we may not list endpointslices.discovery.k8s.io (403) | ' +
      'add to the rules of our ClusterRole (kubectl edit clusterrole weft): ' +
      '- {apiGroups: [""], resources: [services], verbs: [list, watch]} ' +
      '- {apiGroups: ["discovery.k8s.io"], resources: [endpointslices], verbs: [list, watch]}',
  ],
  [
    'api-access',
    'unauthorized',
    { failing: [failing(new ApiError('get', { status: 401, reason: '', message: '' }))] },
    'failing: API server 10.0.0.1:6443: the server does not accept our credentials (401) | ' +
      'check that the token or client certificate has not expired, and who signed it',
  ],

  ['clock-skew', 'good', {}, "ok: this node's clock is that of the API server"],
  [
    'clock-skew',
    'behind',
    { skewMs: 45_200 },
    "warning: this node's clock is 45 s behind that of the API server | " +
      'timedatectl shows whether the clock is set by NTP: systemctl enable --now chrony, or systemd-timesyncd',
  ],
  [
    'clock-skew',
    'hours before',
    { skewMs: -7_200_000 },
    "failing: this node's clock is 7200 s before that of the API server | " +
      'timedatectl shows whether the clock is set by NTP: systemctl enable --now chrony, or systemd-timesyncd',
  ],
  ['clock-skew', 'no answer yet', { skewMs: undefined }, undefined],

  ['node-name', 'good', {}, 'ok: there is a Node of our name'],
  [
    'node-name',
    'bad',
    { nodeProblem: 'no Node is called "nod-a", did you mean "node-a"?' },
    'failing: no Node is called "nod-a", did you mean "node-a"? | ' +
      'set --node-name (weft agent) or --hostname-override (weft proxy) to what kubectl get nodes shows for this node',
  ],
])('%s: %s', (id, _, facts, want) => {
  expect(judge(API_CHECKS, id, { ...FACTS, ...facts })).toBe(want);
});

test('the missing rule of a subresource', () => {
  expect(missingRule({ verb: 'patch', resource: 'nodes/status' })).toBe(
    '- {apiGroups: [""], resources: [nodes/status], verbs: [patch]}',
  );
});
