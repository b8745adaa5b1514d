import type { LocalPod, PolicyChange } from '../../policy/change.ts';

/** What objects, local pods and calls of the CNI are handed to. */
export interface Enforcement {
  apply(change: PolicyChange): void;
  /** Every kind was read: what is in the kernel may be replaced by what is known. */
  setSynced(): void;
  /** Most of what the next `commit` would compute, others having their turns. */
  prepare(): Promise<void>;
  /** Brings what was told so far into the kernel. Throws WeftError. */
  commit(): void;
  /** Whether some policy may select a pod of this namespace. */
  concerns(namespace: string): boolean;
  /** Why what was told last is not in the kernel; undefined when it is, or soon will be. */
  readonly report: { readonly error: string | undefined };
  /** Whether all is known that decides about this pod. */
  knows(pod: LocalPod): boolean;
}
