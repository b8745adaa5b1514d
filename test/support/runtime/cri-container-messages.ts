/** The CRI messages of a container's life; numbers as in cri-messages.ts. */
import type { SandboxConfig } from './cri-messages.ts';
import { writeSandboxConfig } from './cri-messages.ts';
import { MessageReader, MessageWriter } from './protobuf.ts';

export interface ContainerMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly isReadOnly: boolean;
  /** New mounts of the node below it appear in the container. */
  readonly isFollowed: boolean;
}

/** ContainerConfig, as the kubelet fills it in from a pod's. */
export interface ContainerConfig {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly mounts: readonly ContainerMount[];
  readonly isPrivileged: boolean;
  readonly isRootReadOnly: boolean;
  readonly addedCapabilities: readonly string[];
  readonly droppedCapabilities: readonly string[];
  /** Below the sandbox's directory of logs. */
  readonly logPath: string;
}

export interface ContainerStatus {
  readonly state: 'created' | 'running' | 'exited' | 'unknown';
  readonly exitCode: number;
}

const STATES = ['created', 'running', 'exited', 'unknown'] as const;
const NAMESPACE_OF_NODE = 2;
const HOST_TO_CONTAINER = 1;

export function encodeCreateContainerRequest(
  sandboxId: string,
  config: ContainerConfig,
  sandbox: SandboxConfig,
): Buffer {
  return new MessageWriter()
    .string(1, sandboxId)
    .message(2, (writer) => writeContainerConfig(writer, config, sandbox.usesNodeNetwork === true))
    .message(3, (writer) => writeSandboxConfig(writer, sandbox))
    .finish();
}

/** CreateContainerResponse. */
export function decodeContainerId(bytes: Buffer): string {
  return new MessageReader(bytes).string(1);
}

/** Start-, Remove- and ContainerStatusRequest; with `timeoutSeconds` StopContainerRequest. */
export function encodeContainerRequest(containerId: string, timeoutSeconds = 0): Buffer {
  return new MessageWriter().string(1, containerId).varint(2, timeoutSeconds).finish();
}

export function decodeContainerStatusResponse(bytes: Buffer): ContainerStatus {
  const status = new MessageReader(bytes).message(1);
  return { state: STATES[status.number(3)] ?? 'unknown', exitCode: status.number(7) };
}

function writeContainerConfig(
  writer: MessageWriter,
  config: ContainerConfig,
  usesNodeNetwork: boolean,
): void {
  writer.message(1, (metadata) => metadata.string(1, config.name));
  writer.message(2, (image) => image.string(1, config.image));
  for (const word of config.command) writer.string(3, word);
  for (const word of config.args) writer.string(4, word);
  writer.map(6, config.environment);
  for (const { containerPath, hostPath, isReadOnly, isFollowed } of config.mounts) {
    writer.message(7, (mount) =>
      mount
        .string(1, containerPath)
        .string(2, hostPath)
        .varint(3, isReadOnly)
        .varint(5, isFollowed ? HOST_TO_CONTAINER : 0),
    );
  }
  writer.string(11, config.logPath);
  writer.message(15, (linux) =>
    linux.message(2, (security) => {
      security.message(1, (capabilities) => {
        for (const name of config.addedCapabilities) capabilities.string(1, name);
        for (const name of config.droppedCapabilities) capabilities.string(2, name);
      });
      security.varint(2, config.isPrivileged);
      security.message(3, (namespaces) =>
        namespaces.varint(1, usesNodeNetwork ? NAMESPACE_OF_NODE : 0).varint(2, 1),
      );
      security.varint(7, config.isRootReadOnly);
      // RuntimeDefault is 0; present all the same, since without it there is no filter.
      security.message(15, () => undefined);
    }),
  );
}
