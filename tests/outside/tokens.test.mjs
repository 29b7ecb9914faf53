/** Bearer tokens of an identity provider that nobody here wrote, while its keys are rotated and while it is away. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { startGateway } from "./gateway.mjs";
import { certify } from "./oauth/certificate.mjs";
import { AUDIENCE, HOST, ISSUER, JWKS_URL, newKey, startProvider } from "./oauth/provider.mjs";

const ALGORITHMS = ["RS256", "ES256", "EdDSA"];
const operator = (name) => ({ site: 1, kind: "operator", role: "Administrator", name });
/** A client for each algorithm, a module, and tokens that are for somebody else or run out at once. */
const CLIENTS = {
  1: { alg: "RS256", claims: operator("Ada") },
  2: { alg: "ES256", claims: operator("Edith") },
  3: { alg: "EdDSA", claims: operator("Zoë") },
  forms: { alg: "ES256", claims: { site: 1, kind: "module", role: "Module" } },
  4: { alg: "ES256", claims: operator("Eve"), audience: "urn:somebody-else" },
  5: { alg: "ES256", claims: operator("Bo"), lifetime: 1 },
  6: { alg: "ES256", claims: { role: "Administrator" } },
};

let folder;
let tls;
let provider;
let gateway;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "gateway-tokens-"));
  tls = await certify(HOST, folder);
  provider = await startProvider({ tls, keys: ALGORITHMS.map((alg) => newKey(`first-${alg}`, alg)), clients: CLIENTS });
  gateway = await startGateway({
    GATEWAY_JWKS_URL: JWKS_URL,
    GATEWAY_TOKEN_ISSUER: ISSUER,
    GATEWAY_TOKEN_AUDIENCE: AUDIENCE,
    GATEWAY_EXTRA_CA: tls.file,
    GATEWAY_CONNECT_TO: `${HOST}:443=127.0.0.1:${provider.port}`,
    GATEWAY_ALLOWED_DESTINATIONS: `127.0.0.1/32:${provider.port}`,
  });
});

after(async () => {
  await gateway?.stop();
  await provider?.stop();
  await rm(folder, { recursive: true });
});

/** The status, and whom the gateway takes the bearer for. */
async function asked(token) {
  const response = await fetch(`${gateway.url}/graphql`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ query: "{ viewer { kind role module operator { id name } siteId } }" }),
  });
  const { data } = await response.json();
  return { status: response.status, viewer: data?.viewer };
}

test("its tokens name operators and modules, whichever key signs", async () => {
  for (const [id, { claims }] of Object.entries(CLIENTS).slice(0, 3)) {
    const { status, viewer } = await asked(await provider.tokenFor(id));
    const expected = { id: Number(id), name: claims.name };
    assert.deepEqual([status, viewer?.role, viewer?.siteId, viewer?.operator], [200, "Administrator", 1, expected]);
  }
  const { viewer } = await asked(await provider.tokenFor("forms"));
  assert.deepEqual([viewer?.kind, viewer?.module, viewer?.role], ["MODULE", "forms", "Module"]);
  // The gateway's own are good beside them.
  assert.equal((await asked(await gateway.operatorToken("Viewer"))).viewer.role, "Viewer");
});

test("what is for somebody else, has run out or says too little is refused", async () => {
  const brief = await provider.tokenFor("5");
  const waited = Date.now() + 10_000;
  while ((await asked(brief)).status !== 401) {
    assert.ok(Date.now() < waited, "it runs out");
    await delay(100);
  }
  for (const id of ["4", "6"]) assert.equal((await asked(await provider.tokenFor(id))).status, 401, id);
});

test("a new key is good once it is published, the old one no more, and the keys serve while the provider is away", async () => {
  const old = await provider.tokenFor("2");
  assert.equal((await asked(old)).status, 200);
  const { port } = provider;
  await provider.stop();
  assert.equal((await asked(old)).status, 200, "what is known serves on");
  const keys = ALGORITHMS.map((alg) => newKey(`second-${alg}`, alg));
  provider = await startProvider({ tls, keys, clients: CLIENTS, port });
  const fresh = await provider.tokenFor("2");
  // Whatever clients send, the provider is asked for unknown keys once in ten seconds.
  const waited = Date.now() + 30_000;
  while ((await asked(fresh)).status !== 200) {
    assert.ok(Date.now() < waited, "the new key is found");
    await delay(200);
  }
  assert.equal((await asked(old)).status, 401);
});
