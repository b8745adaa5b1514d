/** Manifests of many Services, for an agent that reads a directory. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serviceManifest, sliceManifests } from '../support/manifests.ts';

const ENDPOINTS = 5;
const SERVICES_PER_FILE = 500;

/** `count` Services of 5 endpoints in files of 500. */
export function writeServices(manifests: string, count: number): void {
  for (let first = 0; first < count; first += SERVICES_PER_FILE) {
    writeServiceFile(manifests, { first, round: 0 });
  }
}

export interface ServiceFile {
  readonly first: number;
  /** 500 when absent. */
  readonly count?: number;
  /** Moves the last endpoint of the first Service to another address. */
  readonly round: number;
}

export function writeServiceFile(manifests: string, { first, count, round }: ServiceFile): void {
  const objects = Array.from({ length: count ?? SERVICES_PER_FILE }, (_, offset) => {
    const n = first + offset;
    const spec = {
      name: `svc-${n}`,
      clusterIPs: [`172.30.${n >> 8}.${n & 255}`],
      port: 80,
    };
    const endpoints = Array.from({ length: ENDPOINTS }, (_, e) => ({
      addresses: [`10.${e + (offset === 0 && e === 4 ? 10 + round : 0)}.${n >> 8}.${n & 255}`],
      nodeName: `node${e}`,
    }));
    return [serviceManifest(spec), ...sliceManifests(spec, 8080, endpoints)];
  }).flat();
  const file = join(manifests, `${first}.json`);
  writeFileSync(`${file}.tmp`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  renameSync(`${file}.tmp`, file);
}
