import { render } from 'preact';
import { App } from './app.ts';
import { openSession } from './ask.ts';
import { html } from './html.ts';
import { applyTheme, currentTheme } from './theme.ts';

applyTheme(currentTheme());
await takeTokenOfAddress();
const root = document.getElementById('app');
if (root !== null) {
  root.replaceChildren();
  render(html`<${App} />`, root);
}

/** `weft ui` gives it behind a #, which no browser sends; it goes from the address at once. */
async function takeTokenOfAddress(): Promise<void> {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return;
  history.replaceState(null, '', location.pathname);
  await openSession(token);
}
