import type { IP } from '../net/ip.ts';

/** One interface of one container: the key of a CNI attachment. */
export interface Owner {
  readonly containerId: string;
  readonly ifName: string;
}

/** What one address file says. */
export interface Reservation {
  readonly address: IP;
  readonly containerId: string;
  /** undefined in files of old versions, which hold the container ID alone. */
  readonly ifName: string | undefined;
}

const LINE_BREAK = '\r\n';

/** The bytes of an address file: `<container ID>` CR LF `<ifname>`, no newline at the end. */
export function formatOwner(owner: Owner): string {
  return `${owner.containerId.trim()}${LINE_BREAK}${owner.ifName}`;
}

/**
 * Reads an address file; undefined when it holds nothing, which is what a crash between creating
 * and writing leaves. NUL bytes are what some file systems leave after a power cut.
 */
export function parseReservation(address: IP, text: string): Reservation | undefined {
  const trimmed = text.replaceAll('\0', '').trim();
  if (trimmed === '') return undefined;
  const end = trimmed.indexOf(LINE_BREAK);
  if (end < 0) return { address, containerId: trimmed, ifName: undefined };
  const ifName = trimmed.slice(end + LINE_BREAK.length);
  return { address, containerId: trimmed.slice(0, end), ifName };
}

/**
 * What an owner's release frees: its own reservations, or, when it has none, those that name only
 * its container.
 */
export function releasable(reservations: Iterable<Reservation>, owner: Owner): Reservation[] {
  const ofContainer = matching(reservations, owner);
  const exact = ofContainer.filter((reservation) => reservation.ifName !== undefined);
  return exact.length > 0 ? exact : ofContainer;
}

/** Reservations of the owner, those that name only its container included. */
export function matching(reservations: Iterable<Reservation>, owner: Owner): Reservation[] {
  const containerId = owner.containerId.trim();
  const found: Reservation[] = [];
  for (const reservation of reservations) {
    if (reservation.containerId !== containerId) continue;
    if (reservation.ifName === undefined || reservation.ifName === owner.ifName) {
      found.push(reservation);
    }
  }
  return found;
}
