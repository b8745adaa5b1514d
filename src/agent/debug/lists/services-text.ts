/** Services as a table, and one of them in full. */
import { formatHostPort } from '../../../net/host-port.ts';
import { counted, spanText } from '../../../util/human.ts';
import { type Column, wrapped } from '../../../util/text-layout.ts';
import { refusedInAll } from './refused.ts';
import { type ListTextOptions, leftOutText, lines, STATES, table } from './text.ts';
import type {
  ListedEndpoint,
  ListedFrontend,
  ListedPort,
  ListedService,
  ServiceDetail,
} from './values.ts';

const NARROW: readonly Column[] = [
  { title: 'SERVICE' },
  { title: 'PORT' },
  { title: 'CLUSTER IP' },
  { title: 'USED', isNumber: true },
  { title: 'CONNS', isNumber: true },
  { title: 'REFUSED', isNumber: true },
];
const WIDE: readonly Column[] = [
  ...NARROW,
  ...['NODE PORT', 'OUTSIDE ADDRESSES', 'POLICIES'].map((title) => ({ title })),
];

/** What `weft services` prints: a row for each port and family. USED is endpoints in use of those listed. */
export function servicesText(services: readonly ListedService[], options: ListTextOptions): string {
  if (services.length === 0) return 'no Service matches\n';
  const rows = services.flatMap((service) =>
    service.ports.map((port) => serviceRow(service, port, options)),
  );
  const pending = services.filter(({ isPending }) => isPending).length;
  return lines([
    ...table(options.isWide ? WIDE : NARROW, rows, options),
    ...(pending === 0
      ? []
      : [`${counted(pending, 'Service')} with changes on their way to the kernel`]),
  ]);
}

function serviceRow(
  service: ListedService,
  { name, protocol, port, frontends, endpoints }: ListedPort,
  { isWide }: ListTextOptions,
): readonly string[] {
  const { namespace, name: serviceName } = service;
  const clusterIP = frontends.find(({ kind }) => kind === 'clusterIP')?.ip ?? '-';
  const sum = (of: (frontend: ListedFrontend) => number | undefined) => {
    const known = frontends.flatMap((each) => of(each) ?? []);
    return known.length === 0 ? '-' : String(known.reduce((total, each) => total + each, 0));
  };
  const outside = frontends.flatMap(({ kind, ip }) =>
    ip === undefined || kind === 'clusterIP' ? [] : [ip],
  );
  const nodePort = frontends.find(({ kind }) => kind === 'nodePort')?.port;
  return [
    `${namespace}/${serviceName}`,
    `${name === '' ? '' : `${name} `}${port}/${protocol}`,
    clusterIP,
    `${endpoints.used}/${endpoints.total}`,
    sum(({ connections }) => connections),
    sum(({ refused }) => refused && refusedInAll(refused)),
    ...(isWide ? [String(nodePort ?? '-'), outside.join(', ') || '-', policiesText(service)] : []),
  ];
}

function policiesText({ internalTrafficPolicy, externalTrafficPolicy }: ListedService): string {
  const local = [
    ...(internalTrafficPolicy === 'Local' ? ['internal'] : []),
    ...(externalTrafficPolicy === 'Local' ? ['external'] : []),
  ];
  return local.length === 0 ? '-' : `Local: ${local.join(', ')}`;
}

const FRONTENDS: readonly Column[] = [
  { title: 'FRONTEND' },
  { title: 'ADDRESS' },
  { title: 'CONNECTIONS', isNumber: true },
  { title: 'REFUSED', isNumber: true },
  { title: 'NOTE' },
];
const KINDS: Readonly<Record<ListedFrontend['kind'], string>> = {
  clusterIP: 'cluster IP',
  loadBalancerIP: 'load balancer',
  externalIP: 'external IP',
  nodePort: 'NodePort',
};

/** What `weft services NAME` prints. */
export function serviceDetailText(service: ServiceDetail, options: ListTextOptions): string {
  const { namespace, name, isPending, ports, endpoints } = service;
  return lines([
    `Service ${namespace}/${name}${isPending ? ' (changes are on their way to the kernel)' : ''}`,
    ...settingLines(service).flatMap((text) => wrapped(text, { first: '  ', next: '    ' })),
    ...ports.flatMap((port) => portLines(port, endpoints, options)),
    ...otherFamilyLines(ports, endpoints, options),
  ]);
}

function settingLines(service: ServiceDetail): readonly string[] {
  const { internalTrafficPolicy, externalTrafficPolicy, affinitySeconds } = service;
  const { healthCheckNodePort, sourceRanges } = service;
  return [
    `internalTrafficPolicy ${internalTrafficPolicy}, externalTrafficPolicy ${externalTrafficPolicy}`,
    ...(affinitySeconds === undefined
      ? []
      : [`a client keeps its endpoint for ${spanText(affinitySeconds)}`]),
    ...(healthCheckNodePort === undefined ? [] : [`healthCheckNodePort ${healthCheckNodePort}`]),
    ...(sourceRanges.length === 0
      ? []
      : [`load balancer addresses are for ${sourceRanges.join(', ')} only`]),
  ];
}

function portLines(
  { name, protocol, port, family, frontends, endpoints: counts }: ListedPort,
  all: readonly ListedEndpoint[],
  options: ListTextOptions,
): readonly string[] {
  const own = all.filter(
    (each) => each.portName === name && each.protocol === protocol && each.family === family,
  );
  const called = name === '' ? '' : `${name}, `;
  const use = `${counts.used} of ${counted(counts.total, 'endpoint')} in use`;
  return [
    '',
    `Port ${called}${port}/${protocol}, IPv${family}: ${use}`,
    ...table(FRONTENDS, frontends.map(frontendRow), options),
    ...(own.length === 0
      ? ['no endpoint: no pod matches its selector, or none has an address']
      : ['', ...endpointLines(own, options)]),
  ];
}

function frontendRow(frontend: ListedFrontend): readonly string[] {
  const { kind, ip, port, connections, refused, takenBy } = frontend;
  return [
    KINDS[kind],
    ip === undefined ? String(port) : formatHostPort(ip, port),
    String(connections ?? '-'),
    refused === undefined ? '-' : String(refusedInAll(refused)),
    takenBy === undefined ? refusalNote(refused) : `${takenBy} has it`,
  ];
}

function refusalNote(refused: ListedFrontend['refused']): string {
  if (refused === undefined) return '';
  const { noEndpoints, noLocalEndpoints, sourceRange } = refused;
  return [
    ...(noEndpoints === 0 ? [] : ['no endpoint']),
    ...(noLocalEndpoints === 0 ? [] : ['no endpoint on this node']),
    ...(sourceRange === 0 ? [] : ['source not allowed']),
  ].join(', ');
}

const ENDPOINTS: readonly Column[] = ['ENDPOINT', 'STATE', 'LEFT OUT', 'NODE', 'POD'].map(
  (title) => ({ title }),
);

function endpointLines(
  endpoints: readonly ListedEndpoint[],
  options: ListTextOptions,
): readonly string[] {
  const hasCounts = endpoints.some(({ connections }) => connections !== undefined);
  const columns = hasCounts ? [...ENDPOINTS, { title: 'CONNECTIONS', isNumber: true }] : ENDPOINTS;
  const rows = endpoints.map((each) => [
    formatHostPort(each.ip, each.port),
    STATES[each.state],
    leftOutText(each) || '-',
    each.node ?? '-',
    each.pod ?? '-',
    ...(hasCounts ? [String(each.connections ?? '-')] : []),
  ]);
  return table(columns, rows, options);
}

/** Of a family in which the Service has no ports at all. */
function otherFamilyLines(
  ports: readonly ListedPort[],
  endpoints: readonly ListedEndpoint[],
  options: ListTextOptions,
): readonly string[] {
  const own = new Set(ports.map(({ family }) => family));
  const others = endpoints.filter(({ family }) => !own.has(family));
  const [first] = others;
  if (first === undefined) return [];
  return [
    '',
    `IPv${first.family}: the Service has no such address`,
    ...endpointLines(others, options),
  ];
}
