/**
 * The CRI messages of a sandbox's life as values: pure encoders and decoders. Numbers in them are
 * field numbers of `runtime.v1` in k8s.io/cri-api pkg/apis/runtime/v1/api.proto.
 */
import { MessageReader, MessageWriter } from './protobuf.ts';

/** `metadata` of a sandbox; together unique on a node. */
export interface SandboxMetadata {
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  readonly attempt: number;
}

export interface PortMapping {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIP?: string;
}

/** PodSandboxConfig, without what only Windows and DNS need. */
export interface SandboxConfig {
  readonly metadata: SandboxMetadata;
  readonly hostname: string;
  readonly logDirectory?: string;
  readonly portMappings?: readonly PortMapping[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** In cgroupfs syntax. */
  readonly cgroupParent?: string;
  /** hostNetwork of a pod. */
  readonly usesNodeNetwork?: boolean;
  /** It may have privileged containers. */
  readonly isPrivileged?: boolean;
}

export type SandboxState = 'ready' | 'notReady';

/** One item of ListPodSandbox. */
export interface Sandbox {
  readonly id: string;
  readonly metadata: SandboxMetadata;
  readonly state: SandboxState;
  /** Nanoseconds since the epoch. */
  readonly createdAt: bigint;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface SandboxStatus {
  readonly id: string;
  readonly state: SandboxState;
  /** The primary address first; empty when the sandbox has no network any more. */
  readonly ips: readonly string[];
  /** Only of a verbose request: JSON texts of the runtime's own choice. */
  readonly info: Readonly<Record<string, string>>;
}

/** RuntimeStatus conditions by type (`RuntimeReady`, `NetworkReady`). */
export interface RuntimeStatus {
  readonly conditions: Readonly<
    Record<string, { readonly isMet: boolean; readonly message: string }>
  >;
  readonly info: Readonly<Record<string, string>>;
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;

export function encodeRunPodSandboxRequest(config: SandboxConfig): Buffer {
  return new MessageWriter().message(1, (writer) => writeSandboxConfig(writer, config)).finish();
}

export function decodeRunPodSandboxResponse(bytes: Buffer): string {
  return new MessageReader(bytes).string(1);
}

/** StopPodSandboxRequest, RemovePodSandboxRequest and PodSandboxStatusRequest share this shape. */
export function encodeSandboxRequest(sandboxId: string, isVerbose = false): Buffer {
  return new MessageWriter().string(1, sandboxId).varint(2, isVerbose).finish();
}

export function decodePodSandboxStatusResponse(bytes: Buffer): SandboxStatus {
  const response = new MessageReader(bytes);
  const status = response.message(1);
  const network = status.message(5);
  const ips = [network.string(1), ...network.messages(2).map((podIP) => podIP.string(1))];
  return {
    id: status.string(1),
    state: stateOf(status),
    ips: ips.filter((ip) => ip !== ''),
    info: response.map(2),
  };
}

/** An empty filter lists all sandboxes. */
export function encodeListPodSandboxRequest(filter: { id?: string } = {}): Buffer {
  if (filter.id === undefined) return Buffer.alloc(0);
  return new MessageWriter().message(1, (writer) => writer.string(1, filter.id)).finish();
}

export function decodeListPodSandboxResponse(bytes: Buffer): Sandbox[] {
  return new MessageReader(bytes).messages(1).map((item) => ({
    id: item.string(1),
    metadata: readMetadata(item.message(2)),
    state: stateOf(item),
    createdAt: item.bigint(4),
    labels: item.map(5),
    annotations: item.map(6),
  }));
}

/** StatusRequest; verbose answers carry the network configuration in use. */
export function encodeStatusRequest(isVerbose: boolean): Buffer {
  return new MessageWriter().varint(1, isVerbose).finish();
}

export function decodeStatusResponse(bytes: Buffer): RuntimeStatus {
  const response = new MessageReader(bytes);
  const conditions = response.message(1).messages(1);
  return {
    conditions: Object.fromEntries(
      conditions.map((condition) => [
        condition.string(1),
        { isMet: condition.boolean(2), message: condition.string(4) || condition.string(3) },
      ]),
    ),
    info: response.map(2),
  };
}

/** VersionRequest with the kubelet's API version. */
export function encodeVersionRequest(): Buffer {
  return new MessageWriter().string(1, '0.1.0').finish();
}

export function decodeVersionResponse(bytes: Buffer): { name: string; version: string } {
  const response = new MessageReader(bytes);
  return { name: response.string(2), version: response.string(3) };
}

export function writeSandboxConfig(writer: MessageWriter, config: SandboxConfig): void {
  const { metadata } = config;
  writer.message(1, (inner) =>
    inner
      .string(1, metadata.name)
      .string(2, metadata.uid)
      .string(3, metadata.namespace)
      .varint(4, metadata.attempt),
  );
  writer.string(2, config.hostname).string(3, config.logDirectory);
  for (const mapping of config.portMappings ?? []) {
    writer.message(5, (inner) =>
      inner
        .varint(1, PROTOCOLS.indexOf(mapping.protocol))
        .varint(2, mapping.containerPort)
        .varint(3, mapping.hostPort)
        .string(4, mapping.hostIP),
    );
  }
  writer.map(6, config.labels).map(7, config.annotations);
  writer.message(8, (linux) => {
    linux.string(1, config.cgroupParent);
    if (config.usesNodeNetwork !== true && config.isPrivileged !== true) return;
    linux.message(2, (security) => {
      // NamespaceMode NODE.
      security.message(1, (namespaces) => namespaces.varint(1, config.usesNodeNetwork ? 2 : 0));
      security.varint(6, config.isPrivileged === true);
    });
  });
}

function readMetadata(metadata: MessageReader): SandboxMetadata {
  return {
    name: metadata.string(1),
    uid: metadata.string(2),
    namespace: metadata.string(3),
    attempt: metadata.number(4),
  };
}

/** PodSandboxState is field 3 of PodSandbox and of PodSandboxStatus alike. */
function stateOf(sandbox: MessageReader): SandboxState {
  return sandbox.number(3) === 0 ? 'ready' : 'notReady';
}
