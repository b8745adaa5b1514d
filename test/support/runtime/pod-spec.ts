/** What the kubelet makes of a pod's containers, for the fields that the manifests use. */
import type { ContainerConfig, ContainerMount } from './cri-container-messages.ts';

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string; readonly type: string };
  readonly configMap?: { readonly name: string };
  readonly secret?: { readonly secretName: string };
}

export interface PodContainer {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly securityContext: {
    readonly privileged?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
    readonly mountPropagation?: string;
  }[];
}

export interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken?: boolean;
  readonly initContainers: readonly PodContainer[];
  readonly containers: readonly PodContainer[];
  readonly volumes: readonly Volume[];
}

/** What is not in the manifest but comes from the cluster. */
export interface PodSurroundings {
  readonly nodeName: string;
  /** Directory on the node with the files of each ConfigMap. */
  readonly configMaps: Readonly<Record<string, string>>;
  /** Such a directory for each Secret. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Directory on the node with token and authority. */
  readonly serviceAccount: string;
  /** Of the Service of the API server. */
  readonly environment: Readonly<Record<string, string>>;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export function containerConfig(
  container: PodContainer,
  { volumes, automountServiceAccountToken = true }: PodSpec,
  surroundings: PodSurroundings,
): ContainerConfig {
  const { name, image, command = [], args = [], securityContext, volumeMounts } = container;
  const own = (container.env ?? []).map(({ name: key, value, valueFrom }) => {
    const isNodeName = valueFrom?.fieldRef.fieldPath === 'spec.nodeName';
    return [key, isNodeName ? surroundings.nodeName : (value ?? '')] as const;
  });
  const environment = { ...surroundings.environment, ...Object.fromEntries(own) };
  const expanded = (text: string) =>
    text.replaceAll(/\$\((\w+)\)/g, (whole, key: string) => environment[key] ?? whole);
  const mounts = volumeMounts.map((mount): ContainerMount => {
    return {
      hostPath: nodePathOf(
        volumes.find((volume) => volume.name === mount.name),
        surroundings,
      ),
      containerPath: mount.mountPath,
      isReadOnly: mount.readOnly === true,
      isFollowed: mount.mountPropagation === 'HostToContainer',
    };
  });
  const account = { hostPath: surroundings.serviceAccount, containerPath: SERVICE_ACCOUNT };
  return {
    name,
    image,
    command: command.map(expanded),
    args: args.map(expanded),
    environment,
    mounts: [
      ...mounts,
      ...(automountServiceAccountToken
        ? [{ ...account, isReadOnly: true, isFollowed: false }]
        : []),
    ],
    isPrivileged: securityContext.privileged === true,
    isRootReadOnly: securityContext.readOnlyRootFilesystem === true,
    addedCapabilities: securityContext.capabilities?.add ?? [],
    droppedCapabilities: securityContext.capabilities?.drop ?? [],
    logPath: `${name}.log`,
  };
}

/** Commands that make what the types of hostPath volumes say is made. */
export function missingPaths({ volumes }: PodSpec): readonly string[] {
  return volumes.flatMap(({ hostPath }) => {
    if (hostPath?.type === 'DirectoryOrCreate') return [`mkdir -p ${hostPath.path}`];
    return hostPath?.type === 'FileOrCreate' ? [`touch ${hostPath.path}`] : [];
  });
}

function nodePathOf(
  { name, hostPath, configMap, secret }: Partial<Volume> = {},
  { configMaps, secrets }: PodSurroundings,
): string {
  const ofCluster = configMaps[configMap?.name ?? ''] ?? secrets[secret?.secretName ?? ''];
  const path = hostPath?.path ?? ofCluster;
  if (path === undefined) throw new Error(`no volume ${name}`);
  return path;
}
