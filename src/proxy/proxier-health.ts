/** How far the kernel is behind what a proxier was told. */
export interface ProxierHealth {
  /** When the oldest change that is not yet in the kernel arrived; undefined when none waits. */
  readonly queuedAtMs: number | undefined;
  /** Since then; 0 when none waits. */
  readonly waitedMs: number;
  /** End of the last successful sync. */
  readonly updatedAtMs: number | undefined;
  /** Why the last sync failed; undefined when it did not. */
  readonly failure?: { readonly atMs: number; readonly reason: string } | undefined;
}
