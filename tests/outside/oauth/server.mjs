/**
 * An authorization server that nobody here wrote: npm's `oidc-provider` over TLS, with the login and the consent that
 * it brings along. It keeps a journal of what it says has happened.
 */

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:https";

import { certify } from "./certificate.mjs";

export const HOST = "authority.example";
export const ISSUER = `https://${HOST}`;
/** How long the access tokens of a client serve, in seconds, unless it asks for another time. */
const TOKEN_LIFETIME = 600;
const DAY = 24 * 3_600;
const JOURNAL_MAX = 10_000;
/** What it says of each start like this one: that it is not for production, and wants a newer Node than the others. */
const KNOWN = /^oidc-provider WARNING: (a quick start development-only|Unsupported runtime)/;

/**
 * Starts it with a client for each of `clients`: its id, and how long its access tokens serve. Whoever starts it stops
 * it.
 */
export async function startAuthority(folder, redirectUri, clients) {
  const tls = await certify(HOST, folder);
  const registered = Object.keys(clients).map((name) => ({
    client_id: name,
    client_secret: randomBytes(32).toString("base64url"),
    redirect_uris: [redirectUri],
    grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "client_secret_basic",
    id_token_signed_response_alg: "ES256",
  }));
  const provider = await quietly(async () => {
    const { default: Provider } = await import("oidc-provider");
    return new Provider(ISSUER, settings(registered, clients));
  });
  const journal = keepJournal(provider);
  const server = createServer({ key: tls.key, cert: tls.certificate }, provider.callback());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();

  return {
    port,
    certificate: tls.certificate,
    certificateFile: tls.file,
    clients: registered,
    ...journal,
    /** What it answers to a client that posts a form: the status, and the JSON. */
    post: (path, clientId, form) => {
      const client = registered.find(({ client_id }) => client_id === clientId);
      return post({ path, port, ca: tls.certificate, client, form });
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function settings(registered, lifetimes) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    clients: registered,
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "ES256" }] },
    cookies: { keys: [randomBytes(32).toString("base64url")] },
    scopes: ["openid", "offline_access"],
    claims: { openid: ["sub"], profile: ["name"], email: ["email"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `The account ${id}`, email: `${id}@example.com` }),
    }),
    features: {
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    renderError: (ctx, out) => {
      ctx.type = "json";
      ctx.body = out;
    },
    ttl: {
      AccessToken: (_, __, client) => lifetimes[client.clientId] ?? TOKEN_LIFETIME,
      AuthorizationCode: 60,
      Grant: DAY,
      IdToken: 600,
      Interaction: 600,
      RefreshToken: DAY,
      Session: DAY,
    },
  };
}

/** Makes a provider; what it says of every start like these is not repeated. */
export async function quietly(make) {
  const { warn } = console;
  console.warn = (text) => KNOWN.test(text) || warn(text);
  try {
    return await make();
  } finally {
    console.warn = warn;
  }
}

/**
 * `events`: what happened, in order, by the names that it has for it. `grants`: what the token endpoint was asked, and
 * what it gave. `codes`: the authorization codes, with their challenges.
 */
function keepJournal(provider) {
  const [events, grants, codes] = [[], [], []];
  const note = (event, what) => {
    if (events.length === JOURNAL_MAX) throw new Error(`the journal has ${JOURNAL_MAX} events`);
    events.push({ event, at: Date.now(), ...what });
  };
  for (const name of ["refresh_token.saved", "refresh_token.consumed", "refresh_token.destroyed"]) {
    provider.on(name, ({ accountId, grantId, jti }) => note(name, { account: accountId, grant: grantId, token: jti }));
  }
  provider.on("authorization_code.saved", ({ accountId, codeChallenge, codeChallengeMethod, jti }) => {
    codes.push({ account: accountId, challenge: codeChallenge, method: codeChallengeMethod, code: jti });
  });
  provider.on("grant.success", ({ oidc: { entities, params }, body }) => {
    const account = entities.Account.accountId;
    note("grant.success", { account, grant: entities.Grant.jti });
    grants.push({ account, asked: { ...params }, given: { ...body } });
  });
  provider.on("grant.revoked", (_, grant) => note("grant.revoked", { grant }));
  for (const name of ["authorization.error", "grant.error", "revocation.error", "userinfo.error", "server_error"]) {
    provider.on(name, (_, { message, error_detail: detail }) => note(name, { error: message, detail }));
  }
  return {
    events,
    grants,
    codes,
    /** The events of these names from the place `since` in the journal on. */
    happened: (since, ...names) => events.slice(since).filter(({ event }) => names.includes(event)),
  };
}

/** What a server on this machine answers to a form: the status, and the JSON. */
export async function post({ path, port, ca, client, form }) {
  const headers = { Host: HOST, "Content-Type": "application/x-www-form-urlencoded" };
  const auth = `${client.client_id}:${client.client_secret}`;
  const place = { host: "127.0.0.1", port, servername: HOST, ca, path };
  const sending = request({ ...place, method: "POST", auth, headers, timeout: 10_000 });
  sending.on("timeout", () => sending.destroy(new Error(`${path} did not answer in 10 s`)));
  sending.end(new URLSearchParams(form).toString());
  const [response] = await once(sending, "response");
  const text = (await response.toArray()).join("");
  return { status: response.statusCode, body: text ? JSON.parse(text) : undefined };
}
