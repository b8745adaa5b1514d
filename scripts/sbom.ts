/** sbom.ts PACKAGES TARGET: what an image consists of, as CycloneDX 1.5. PACKAGES lists Debian's. */
import { readFileSync, writeFileSync } from 'node:fs';
import packageLock from '../package-lock.json' with { type: 'json' };
import { softwareBill } from './software-bill.ts';

const [packages = '', target = ''] = process.argv.slice(2);
const bill = softwareBill(readFileSync(packages, 'utf8'), packageLock);
writeFileSync(target, `${JSON.stringify(bill, undefined, 2)}\n`);
