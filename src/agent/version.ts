import packageJson from '../../package.json' with { type: 'json' };

/** The release this code belongs to. */
export const WEFT_VERSION: string = packageJson.version;
