/** A client of a container runtime's CRI socket, for the life of sandboxes and containers. */
import {
  type ContainerConfig,
  type ContainerStatus,
  decodeContainerId,
  decodeContainerStatusResponse,
  encodeContainerRequest,
  encodeCreateContainerRequest,
} from './cri-container-messages.ts';
import {
  decodeListPodSandboxResponse,
  decodePodSandboxStatusResponse,
  decodeRunPodSandboxResponse,
  decodeStatusResponse,
  decodeVersionResponse,
  encodeListPodSandboxRequest,
  encodeRunPodSandboxRequest,
  encodeSandboxRequest,
  encodeStatusRequest,
  encodeVersionRequest,
  type RuntimeStatus,
  type Sandbox,
  type SandboxConfig,
  type SandboxStatus,
} from './cri-messages.ts';
import { GrpcConnection } from './grpc.ts';

const SERVICE = '/runtime.v1.RuntimeService';

export class CriClient {
  readonly #connection: GrpcConnection;

  private constructor(connection: GrpcConnection) {
    this.#connection = connection;
  }

  static async connect(socketPath: string): Promise<CriClient> {
    return new CriClient(await GrpcConnection.open(socketPath));
  }

  async version(): Promise<{ readonly name: string; readonly version: string }> {
    return decodeVersionResponse(await this.#call('Version', encodeVersionRequest()));
  }

  /** With `info` about the loaded network configuration. */
  async status(): Promise<RuntimeStatus> {
    return decodeStatusResponse(await this.#call('Status', encodeStatusRequest(true)));
  }

  /** Gives the sandbox id. */
  async runPodSandbox(config: SandboxConfig): Promise<string> {
    const response = await this.#call('RunPodSandbox', encodeRunPodSandboxRequest(config));
    return decodeRunPodSandboxResponse(response);
  }

  async podSandboxStatus(sandboxId: string, isVerbose = false): Promise<SandboxStatus> {
    const request = encodeSandboxRequest(sandboxId, isVerbose);
    return decodePodSandboxStatusResponse(await this.#call('PodSandboxStatus', request));
  }

  async listPodSandbox(filter: { id?: string } = {}): Promise<Sandbox[]> {
    const request = encodeListPodSandboxRequest(filter);
    return decodeListPodSandboxResponse(await this.#call('ListPodSandbox', request));
  }

  async stopPodSandbox(sandboxId: string): Promise<void> {
    await this.#call('StopPodSandbox', encodeSandboxRequest(sandboxId));
  }

  async removePodSandbox(sandboxId: string): Promise<void> {
    await this.#call('RemovePodSandbox', encodeSandboxRequest(sandboxId));
  }

  /** Gives the container id. */
  async createContainer(
    sandboxId: string,
    config: ContainerConfig,
    sandbox: SandboxConfig,
  ): Promise<string> {
    const request = encodeCreateContainerRequest(sandboxId, config, sandbox);
    return decodeContainerId(await this.#call('CreateContainer', request));
  }

  async startContainer(containerId: string): Promise<void> {
    await this.#call('StartContainer', encodeContainerRequest(containerId));
  }

  /** SIGTERM, and after the time SIGKILL. */
  async stopContainer(containerId: string, timeoutSeconds: number): Promise<void> {
    await this.#call('StopContainer', encodeContainerRequest(containerId, timeoutSeconds));
  }

  async containerStatus(containerId: string): Promise<ContainerStatus> {
    const response = await this.#call('ContainerStatus', encodeContainerRequest(containerId));
    return decodeContainerStatusResponse(response);
  }

  close(): void {
    this.#connection.close();
  }

  #call(method: string, request: Buffer): Promise<Buffer> {
    return this.#connection.call(`${SERVICE}/${method}`, request);
  }
}
