import { leaseLayout, subnetLeases } from '../../fabric/subnets/lease.ts';
import type { ClusterAccess } from '../../kube/access/access.ts';
import { CombinedCredentials } from '../../kube/access/credentials.ts';
import { CachedFile, FILE_MAX_AGE_MS } from '../../kube/access/file-cache.ts';
import { AddressedServices } from '../../kube/addressed-services.ts';
import { etcdAgreement } from '../../kube/etcd/etcd-agreement.ts';
import { EtcdSource } from '../../kube/etcd/etcd-source.ts';
import { EtcdGateway, type EtcdUser } from '../../kube/etcd/gateway.ts';
import { nodes } from '../../kube/resources.ts';
import { SharedObjects } from '../../kube/shared-objects.ts';
import { ConfigError, toError } from '../../util/errors.ts';
import type { EtcdSettings } from '../config/etcd-settings.ts';
import type { AgentContext } from '../context.ts';
import { WEFT_VERSION } from '../version.ts';
import { spread } from './api-servers.ts';
import { NO_EVENTS } from './events.ts';
import { followServer } from './followed-server.ts';
import { LeasedNodes } from './leased-nodes.ts';
import type { OpenedSource } from './opened-source.ts';
import { readPassword } from './password-file.ts';
import { stateDirectoryOf } from './state-directory.ts';
import { SubnetStore } from './subnet-store.ts';

/** Objects of etcd, not started yet. Throws ConfigError when what proves who we are cannot be used. */
export async function openEtcd(
  context: AgentContext,
  settings: EtcdSettings,
): Promise<OpenedSource> {
  const { config, clock, log, lifecycle } = context;
  const gateway = await openGateway(context, settings);
  const { network, nodeAddresses } = settings;
  const hasLeases = network !== '' && config.components.has('fabric');
  const source = new EtcdSource({
    ...{ gateway, prefix: settings.prefix, clock, random: Math.random, log },
    layouts: new Map([[subnetLeases.plural, leaseLayout(network)]]),
    allowMassDeletion: config.own.allowMassDeletion,
    ...stateDirectoryOf(config.own.stateDir, log),
  });
  const addressed = new AddressedServices(source);
  const shared = new SharedObjects(hasLeases ? new LeasedNodes(addressed) : addressed, clock);
  const endpoints = gateway.accesses.map(({ server }) => server.host);
  return {
    ...{ source: shared, events: NO_EVENTS, client: undefined },
    ...followServer(context, `etcd ${endpoints.join(' and ')}`, source),
    agreement: etcdAgreement({ gateway, prefix: settings.prefix, notes: () => addressed.notes }),
    ...{
      location: () => gateway.access.server.host,
      foundBy: () => undefined,
      skewMs: () => undefined,
    },
    etcd: () => etcdStatus(endpoints, source.revision),
    access: () => gateway.access,
    ...(hasLeases ? { subnets: { store: new SubnetStore(gateway, network), nodeAddresses } } : {}),
    passedOver: () => source.passedOver,
    nodeNames: () => source.names(nodes(), lifecycle.signal),
  };
}

function etcdStatus(endpoints: readonly string[], revision: number | undefined) {
  return { endpoints, ...(revision === undefined ? {} : { revision }) };
}

async function openGateway(
  { clock, log }: AgentContext,
  settings: EtcdSettings,
): Promise<EtcdGateway> {
  const { user } = settings;
  const accesses = accessesOf(settings, (path) => {
    return new CachedFile(path, { clock, maxAgeMs: FILE_MAX_AGE_MS });
  });
  await tryOut(accesses);
  const plain = accesses.filter(({ server }) => server.protocol === 'http:');
  if (plain.length > 0) {
    const endpoints = plain.map(({ server }) => server.origin);
    log.warn({ endpoints, cure: 'use https://' }, 'what comes from etcd is not protected by TLS');
  }
  return new EtcdGateway({
    ...{ accesses: spread(accesses, Math.random), version: WEFT_VERSION, clock },
    user: user === undefined ? undefined : userOf(user, settings.passwordFile ?? ''),
    onChosen: ({ server }) => log.info({ endpoint: server.origin }, 'etcd endpoint in use'),
  });
}

function accessesOf(
  { endpoints, ca, cert, key }: EtcdSettings,
  fileOf: (path: string) => CachedFile,
): readonly ClusterAccess[] {
  const optional = (path: string | undefined) => (path === undefined ? undefined : fileOf(path));
  const credentials = new CombinedCredentials({
    certificateAuthority: optional(ca),
    clientCertificate: optional(cert),
    clientKey: optional(key),
  });
  return endpoints.map((url) => ({ server: new URL(url), credentials, isTlsVerified: true }));
}

/** What cannot be read at the start is a mistake; later it may be replaced at that moment. */
async function tryOut([access]: readonly ClusterAccess[]): Promise<void> {
  try {
    await access?.credentials.current();
  } catch (thrown) {
    throw new ConfigError('etcd', `etcd: ${toError(thrown).message}`, { cause: thrown });
  }
}

function userOf(name: string, passwordFile: string): EtcdUser {
  const password = () => readPassword(passwordFile);
  try {
    password();
  } catch (thrown) {
    const words = `etcd.passwordFile: ${toError(thrown).message}`;
    throw new ConfigError('etcd.passwordFile', words, { cause: thrown });
  }
  return { name, password };
}
