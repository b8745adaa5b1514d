import https from 'node:https';

/** GET over TLS; `onLine` sees whole lines as they arrive. */
export function httpsGet(
  url: string,
  certificateAuthority: string,
  headers: Readonly<Record<string, string>> = {},
  onLine: (line: string) => void = () => {},
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      url,
      { ca: certificateAuthority, headers, agent: false },
      (response) => {
        let body = '';
        let seen = 0;
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          body += text;
          for (let end = body.indexOf('\n', seen); end !== -1; end = body.indexOf('\n', seen)) {
            onLine(body.slice(seen, end));
            seen = end + 1;
          }
        });
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    request.once('error', reject);
  });
}
