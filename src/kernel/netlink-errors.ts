/** What the kernel says of links, addresses, routes and neighbours that are not there. */
export const GONE = ['ENODEV', 'ENOENT', 'ESRCH', 'EADDRNOTAVAIL'] as const;
