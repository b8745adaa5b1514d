/** What pods of `weft connectivity-test` are made of, unless flags say otherwise. */
export const DEFAULT_IMAGE = 'busybox:1.36';
export const DEFAULT_COMMAND = 'httpd -f -p 8080';
