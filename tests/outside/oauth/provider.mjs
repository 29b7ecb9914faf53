/**
 * An identity provider that nobody here wrote: npm's `oidc-provider` over TLS, which gives its clients access tokens
 * for the gateway, as JWTs (RFC 9068) signed by whichever of its keys the client is for.
 */

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";

import { HOST, ISSUER, post, quietly } from "./server.mjs";

export const AUDIENCE = "urn:gateway";
const LIFETIME = 600;

/** A fresh private key, as the provider takes it. */
export function newKey(kid, alg) {
  const { privateKey } = {
    RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
    ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    EdDSA: () => generateKeyPairSync("ed25519"),
  }[alg]();
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" };
}

/**
 * Starts it at `port`, or a free one. `clients`: for each id, which becomes the token's `sub`, the algorithm of its
 * tokens and the further claims in them. Whoever starts it stops it.
 */
export async function startProvider({ tls, keys, clients, port = 0 }) {
  const registered = Object.keys(clients).map((id) => ({
    client_id: id,
    client_secret: randomBytes(32).toString("base64url"),
    redirect_uris: [],
    response_types: [],
    grant_types: ["client_credentials"],
    id_token_signed_response_alg: keys[0].alg,
  }));
  const provider = await quietly(async () => {
    const { default: Provider } = await import("oidc-provider");
    return new Provider(ISSUER, {
      clients: registered,
      jwks: { keys },
      cookies: { keys: [randomBytes(32).toString("base64url")] },
      ttl: { ClientCredentials: (_, token) => token.resourceServer.accessTokenTTL },
      enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "EdDSA"] },
      extraTokenClaims: (_, token) => clients[token.clientId].claims,
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        resourceIndicators: {
          enabled: true,
          defaultResource: (_, client) => `${AUDIENCE}:${client.clientId}`,
          getResourceServerInfo: (_, resource, client) => ({
            scope: "",
            audience: clients[client.clientId].audience ?? AUDIENCE,
            accessTokenTTL: clients[client.clientId].lifetime ?? LIFETIME,
            accessTokenFormat: "jwt",
            jwt: { sign: { alg: clients[client.clientId].alg } },
          }),
        },
      },
    });
  });
  const server = createServer({ key: tls.key, cert: tls.certificate }, provider.callback());
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address().port;

  return {
    port: bound,
    /** An access token for one of its clients. */
    tokenFor: async (id) => {
      const client = registered.find(({ client_id }) => client_id === id);
      const form = { grant_type: "client_credentials" };
      const { status, body } = await post({ path: "/token", port: bound, ca: tls.certificate, client, form });
      if (status !== 200) throw new Error(JSON.stringify(body));
      return body.access_token;
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

export const JWKS_URL = `${ISSUER}/jwks`;
export { HOST, ISSUER };
