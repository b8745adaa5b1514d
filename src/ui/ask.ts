/** Requests of the page to its agent. A session is in the header of each, kept for this tab and this port alone. */

const KEY = 'weft-session';

export function askAgent(path: string, init: RequestInit = {}): Promise<Response> {
  const session = sessionStorage.getItem(KEY);
  const headers: Record<string, string> =
    session === null ? {} : { Authorization: `Bearer ${session}` };
  return fetch(path, { headers, credentials: 'omit', cache: 'no-store', ...init });
}

/** Gives a token for a session; what was wrong in words, empty when nothing was. */
export async function openSession(token: string): Promise<string> {
  try {
    const headers = { Authorization: `Bearer ${token}` };
    const response = await askAgent('/api/session', { method: 'POST', headers });
    if (response.status === 401) return 'That is not the token.';
    if (!response.ok) return (await response.text()).trim();
    // The agent of this page writes exactly this shape.
    const { session } = (await response.json()) as { readonly session: string };
    sessionStorage.setItem(KEY, session);
    return '';
  } catch {
    return 'The agent does not answer.';
  }
}
