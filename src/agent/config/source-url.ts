/** For a server on the node itself, such as `kubectl proxy`. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

export function isLoopback({ hostname }: URL): boolean {
  return LOOPBACK.test(hostname);
}

/** Why a text is no URL of a server; a password in one would end up in logs. */
export function reasonAgainstUrl(text: string, example: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    const found = JSON.stringify(text.slice(0, 200));
    return `expected a URL such as ${example}, found ${found}`;
  }
  const hasUser = url.username !== '' || url.password !== '';
  return hasUser ? 'the URL must not hold a user name or password' : undefined;
}
