import { getSystemErrorName } from 'node:util';

/** Errnos that only kernels use, unknown to libuv (include/linux/errno.h). */
const KERNEL_ERRNOS: ReadonlyMap<number, string> = new Map([
  [85, 'ERESTART'],
  [524, 'ENOTSUPP'],
]);

/** The name of a positive errno (`ENOENT`), as Node spells it. */
export function errnoName(errno: number): string {
  return KERNEL_ERRNOS.get(errno) ?? getSystemErrorName(-errno);
}
