/** A client of a container runtime's CRI socket, for the life of sandboxes. */
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

  close(): void {
    this.#connection.close();
  }

  #call(method: string, request: Buffer): Promise<Buffer> {
    return this.#connection.call(`${SERVICE}/${method}`, request);
  }
}
