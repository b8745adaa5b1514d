/**
 * Container images of one layer, made here: an OCI image layout (image-spec v1 image-layout.md) in a
 * tar file, as `ctr images import` and `podman load` read it.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

/** Path in the archive and in the container, without a leading slash. */
export interface ImageFile {
  readonly path: string;
  readonly content: Buffer;
  readonly isExecutable?: boolean;
}

export interface ImageOptions {
  /** Full reference, `localhost/<name>:<tag>`, which no runtime rewrites or pulls. */
  readonly reference: string;
  readonly files: readonly ImageFile[];
  readonly entrypoint: readonly string[];
}

const TAR_BLOCK_BYTES = 512;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Writes an image of one program, `/<name>`, which is its entry point. */
export function writeProgramImage(target: string, reference: string, program: string): void {
  const file = { path: 'program', content: readFileSync(program), isExecutable: true };
  writeFileSync(target, buildImage({ reference, files: [file], entrypoint: ['/program'] }));
}

/** The bytes of the archive; the same input gives the same bytes. */
export function buildImage({ reference, files, entrypoint }: ImageOptions): Buffer {
  const blobs: ImageFile[] = [];
  const descriptor = (mediaType: string, content: Buffer) => {
    const hex = createHash('sha256').update(content).digest('hex');
    blobs.push({ path: `blobs/sha256/${hex}`, content });
    return { mediaType, digest: `sha256:${hex}`, size: content.length };
  };
  const layer = descriptor('application/vnd.oci.image.layer.v1.tar', buildTar(files));
  const config = descriptor(
    'application/vnd.oci.image.config.v1+json',
    json({
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
      os: 'linux',
      config: { Entrypoint: entrypoint },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    }),
  );
  const manifestType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = descriptor(
    manifestType,
    json({ schemaVersion: 2, mediaType: manifestType, config, layers: [layer] }),
  );
  const annotations = {
    // containerd takes the whole name from its own key, podman from the other.
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference,
  };
  return buildTar([
    { path: 'oci-layout', content: json({ imageLayoutVersion: '1.0.0' }) },
    {
      path: 'index.json',
      content: json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
    },
    ...blobs,
  ]);
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** POSIX ustar (pax(1)) with regular files owned by root. */
export function buildTar(files: readonly ImageFile[]): Buffer {
  const parts = files.flatMap(({ path, content, isExecutable = false }) => {
    const padding = -content.length & (TAR_BLOCK_BYTES - 1);
    return [
      tarHeader(path, content.length, isExecutable ? 0o755 : 0o644),
      content,
      Buffer.alloc(padding),
    ];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * TAR_BLOCK_BYTES)]);
}

function tarHeader(path: string, size: number, mode: number): Buffer {
  if (path.length >= 100) throw new RangeError(`tar: path of more than 99 characters: ${path}`);
  const header = Buffer.alloc(TAR_BLOCK_BYTES);
  const octal = (value: number, offset: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
  header.write(path, 0, 'latin1');
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  header.write('0', 156, 'latin1');
  header.write('ustar\0', 257, 'latin1');
  header.write('00', 263, 'latin1');
  // The checksum counts its own field as spaces.
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
