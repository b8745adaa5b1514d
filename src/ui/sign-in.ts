import { useState } from 'preact/hooks';
import { html } from './html.ts';

interface SignInProps {
  /** Gives what is wrong, empty for nothing. */
  readonly unlock: (token: string) => Promise<string>;
}

/** Asks for the token. */
export function SignIn({ unlock }: SignInProps) {
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState('');
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setProblem(await unlock(token.trim()));
  };
  return html`
    <main class="sign-in">
      <form onSubmit=${submit}>
        <img src="/icon.svg" alt="" width="40" height="40" />
        <h1>weft</h1>
        <p id="token-help">This page asks for the token of <code>uiTokenFile</code>.</p>
        <label for="token">Token</label>
        <input id="token" type="password" autocomplete="current-password" required
          aria-describedby="token-help token-problem" value=${token}
          onInput=${({ currentTarget }: InputEvent) => setToken((currentTarget as HTMLInputElement).value)} />
        <p id="token-problem" class="problem" role="alert">${problem}</p>
        <button type="submit" class="primary">Show the node</button>
      </form>
    </main>`;
}
