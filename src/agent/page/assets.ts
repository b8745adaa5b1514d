import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IoError } from '../../util/errors.ts';
import type { HttpReply } from '../http/http.ts';

/** What the page is made of, by path. */
const ASSETS: Readonly<Record<string, readonly [file: string, contentType: string]>> = {
  '/': ['page.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/inter.woff2': ['inter.woff2', 'font/woff2'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
};

/** Nothing from elsewhere, nothing inline, nobody's frame. */
const CONTENT_POLICY = [
  "default-src 'none'",
  ...['script', 'style', 'font', 'img', 'connect'].map((kind) => `${kind}-src 'self'`),
  ...['base-uri', 'form-action', 'frame-ancestors'].map((kind) => `${kind} 'none'`),
].join('; ');

export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': CONTENT_POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

export const ASSET_PATHS = Object.keys(ASSETS);

/** Reads files when they are asked for first: a page that nobody opens costs nothing. */
export function openAssets(directory = installedDirectory()): (path: string) => HttpReply {
  const known = new Map<string, HttpReply>();
  return (path) => {
    const reply = known.get(path) ?? readAsset(directory, path);
    known.set(path, reply);
    return reply;
  };
}

function readAsset(directory: string, path: string): HttpReply {
  const [file, contentType] = ASSETS[path] ?? [];
  if (file === undefined || contentType === undefined) throw new IoError(`no asset ${path}`);
  const body = readFileSync(join(directory, file));
  return { status: 200, contentType, body, headers: PAGE_HEADERS };
}

/** A release has the page beside its bundle, a checkout in dist. */
function installedDirectory(): string {
  const beside = join(import.meta.dirname, 'page');
  return existsSync(join(beside, 'page.html'))
    ? beside
    : join(import.meta.dirname, '../../../dist/page');
}
