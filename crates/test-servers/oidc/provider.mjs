// An OpenID Connect provider on a loopback port, for tests: the certified `oidc-provider` with a login page and a consent page.
//
//   node provider.mjs settings.json
//
// The settings come from `src/oidc.rs`. When the provider answers, its issuer URL is written to `settings.ready`.
// `POST /rotate` signs with a new key from then on; with `?retire=true` the old ones are no longer published.
import { generateKeyPair, randomUUID } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { Provider } = await import(pathToFileURL(settings.package));
const accounts = new Map(settings.accounts.map((account) => [account.name, account]));

async function newKey() {
  const [type, options] = settings.algorithm === 'ES256'
    ? ['ec', { namedCurve: 'P-256' }]
    : ['rsa', { modulusLength: 2048 }];
  const { privateKey } = await promisify(generateKeyPair)(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: settings.algorithm, use: 'sig' };
}

/** A provider that signs with the first of these keys and publishes all of them. What it remembers outlives it. */
function providerWith(issuer, keys) {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: settings.people.client,
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        redirect_uris: [settings.people.redirect],
      },
      ...settings.workloads.map(({ client, secret }) => ({
        client_id: client,
        client_secret: secret,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      })),
    ],
    clientDefaults: { id_token_signed_response_alg: settings.algorithm },
    cookies: { keys: [randomUUID()] },
    claims: { openid: ['sub'] },
    pkce: { required: () => true },
    findAccount: (_ctx, name) => accounts.has(name) && {
      accountId: name,
      claims: () => ({ sub: name, ...accounts.get(name).claims }),
    },
    async extraTokenClaims(_ctx, token) {
      if (!token.accountId) return undefined;
      const session = await provider.Session.findByUid(token.sessionUid);
      return { ...accounts.get(token.accountId)?.claims, auth_time: session?.authTime() };
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => settings.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, audience) => ({
          audience,
          scope: settings.scope,
          accessTokenTTL: settings.accessTokenSeconds,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: settings.algorithm } },
        }),
      },
    },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider;
}

const page = (uid, title, inputs, button) => `<!doctype html><html lang="en"><title>${title}</title><h1>${title}</h1>
<form method="post" action="/interaction/${uid}">${inputs}<button type="submit">${button}</button></form></html>`;

function showPage(res, uid, prompt, status = 200) {
  const login = '<input name="name" type="text"><input name="password" type="password">';
  const html = prompt === 'login'
    ? page(uid, status === 200 ? 'Sign in' : 'Wrong name or password', login, 'Sign in')
    : page(uid, 'May Daypass know who you are?', '<input name="consent" type="hidden" value="given">', 'Allow');
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(html);
}

async function formOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

/** Everything that was asked for and not yet granted. */
async function grant(provider, { prompt, params, session, grantId }) {
  const granted = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) granted.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) granted.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    granted.addResourceScope(resource, scopes.join(' '));
  }
  return granted.save();
}

async function interact(provider, req, res) {
  const details = await provider.interactionDetails(req, res);
  const { uid, prompt } = details;
  if (req.method === 'GET') return showPage(res, uid, prompt.name);
  const form = await formOf(req);
  if (prompt.name === 'login') {
    const account = accounts.get(form.get('name'));
    if (!account || account.password !== form.get('password')) return showPage(res, uid, 'login', 401);
    const result = { login: { accountId: account.name } };
    return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
  }
  if (form.get('consent') !== 'given') return showPage(res, uid, prompt.name, 400);
  const result = { consent: { grantId: await grant(provider, details) } };
  return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
}

const server = createServer();
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  let keys = [await newKey()];
  let provider = providerWith(issuer, keys);
  let answer = provider.callback();

  server.on('request', (req, res) => {
    const url = new URL(req.url, issuer);
    const handled = async () => {
      if (url.pathname.startsWith('/interaction/')) return interact(provider, req, res);
      if (url.pathname !== '/rotate' || req.method !== 'POST') return answer(req, res);
      const key = await newKey();
      keys = url.searchParams.get('retire') === 'true' ? [key] : [key, ...keys];
      provider = providerWith(issuer, keys);
      answer = provider.callback();
      return res.writeHead(204).end();
    };
    handled().catch((error) => {
      console.error(error);
      if (!res.headersSent) res.writeHead(500).end();
    });
  });

  // Renamed into place, so that nobody reads half a URL.
  writeFileSync(`${settings.ready}.new`, issuer);
  renameSync(`${settings.ready}.new`, settings.ready);
});
