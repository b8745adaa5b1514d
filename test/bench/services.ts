/** Manifests of many Services, for an agent that reads a directory. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manifestItems, serviceObjects } from './cluster-objects.ts';

const SERVICES_PER_FILE = 500;

/** `count` Services of 5 endpoints in files of 500. */
export function writeServices(manifests: string, count: number): void {
  for (let first = 0; first < count; first += SERVICES_PER_FILE) {
    const length = Math.min(SERVICES_PER_FILE, count - first);
    const services = Array.from({ length }, (_, offset) => serviceObjects(first + offset));
    writeItems(manifests, String(first), services.flatMap(manifestItems));
  }
}

/** A file of one Service whose last endpoint has moved `round` times. */
export function writeService(manifests: string, n: number, round: number): void {
  writeItems(manifests, String(n), manifestItems(serviceObjects(n, round)));
}

/** Puts a file in place at once, as a reader must never see half of it. */
export function writeItems(manifests: string, name: string, items: readonly object[]): void {
  const file = join(manifests, `${name}.json`);
  writeFileSync(`${file}.tmp`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  renameSync(`${file}.tmp`, file);
}
