/**
 * Credentials by OAuth at an authorization server that nobody here wrote. What the gateway says of a grant is held
 * against what the server says of it.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { LOG_MAX, repository, startGateway } from "./gateway.mjs";
import { Browser, linkOf } from "./oauth/operator.mjs";
import { HOST, ISSUER, startAuthority } from "./oauth/server.mjs";
import { ask } from "./tour.mjs";

/** Where browsers reach the gateway: behind a proxy, which the test's browser leaves out. */
const PUBLIC_URL = "https://gateway.example";
const CALLBACK = `${PUBLIC_URL}/oauth/callback`;
const DEFAULT_SCOPES = ["openid", "profile", "offline_access"];
/** Of the connector whose access tokens run out while the tests run, in seconds. */
const BRIEF_LIFETIME = 40;

const STATE = "id state stateReason vendorAccountId vendorAccountName scopesGranted expiresAt";
const AUTHORIZATION = `id status authorizationUrl error test { outcome } connection { ${STATE} }`;
const BEGIN = `mutation ($input: BeginOAuthConnectionInput!) {
  beginOAuthConnection(input: $input) { authorization { ${AUTHORIZATION} } }
}`;
const REAUTHORIZE = `mutation ($input: ReauthorizeConnectionInput!) {
  reauthorizeConnection(input: $input) { authorization { ${AUTHORIZATION} } }
}`;
const EDIT_SCOPES = `mutation ($input: EditConnectionScopesInput!) {
  editConnectionScopes(input: $input) { authorization { ${AUTHORIZATION} } }
}`;
const REFRESH = `mutation ($input: ConnectionIdInput!) {
  refreshCredentials(input: $input) { connection { ${STATE} } test { outcome detail vendorAccountId } }
}`;
const TEST = REFRESH.replace("refreshCredentials", "testConnection");
const DISCONNECT = `mutation ($input: DisconnectConnectionInput!) {
  disconnectConnection(input: $input) { disconnected revocation revocationProved detail }
}`;

let folder;
let authority;
let gateway;
let administrator;
/** A connection of the connector with brief tokens. */
let brief;
/** What the gateway has answered. */
const answers = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "gateway-oauth-"));
  authority = await startAuthority(folder, CALLBACK, { gateway: undefined, gateway_brief: BRIEF_LIFETIME });
  gateway = await startGateway({
    GATEWAY_PUBLIC_URL: PUBLIC_URL,
    GATEWAY_CONNECTORS_DIR: await writeConnectors(),
    GATEWAY_OAUTH_APPS: await writeApps(),
    GATEWAY_EXTRA_CA: authority.certificateFile,
    GATEWAY_CONNECT_TO: `${HOST}:443=127.0.0.1:${authority.port}`,
    GATEWAY_ALLOWED_DESTINATIONS: `127.0.0.1/32:${authority.port}`,
    GATEWAY_LOG: "debug",
  });
  administrator = await gateway.operatorToken("Administrator");
  brief = await connect("brief", { connector: "authority_brief" });
});

after(async () => {
  await gateway?.stop();
  await authority?.stop();
  await rm(folder, { recursive: true });
});

/** The connector, and two more that differ from it in one thing each. */
async function writeConnectors() {
  const manifest = await readFile(join(repository, "tests/outside/oauth/manifest.toml"), "utf8");
  const named = (name) => manifest.replace('slug = "authority"', `slug = "${name}"`);
  const revoking = ["", "[[flows.oauth.rules]]", 'json = { "/error" = "invalid_grant" }', 'then = "revoked"', ""];
  const directory = join(folder, "connectors");
  await mkdir(directory);
  await writeFile(join(directory, "authority.toml"), manifest);
  await writeFile(join(directory, "authority_revoking.toml"), named("authority_revoking") + revoking.join("\n"));
  const brief = named("authority_brief").replace('app = "authority"', 'app = "authority_brief"');
  await writeFile(join(directory, "authority_brief.toml"), brief);
  return directory;
}

async function writeApps() {
  const file = join(folder, "apps.toml");
  const apps = authority.clients.flatMap(({ client_id, client_secret }) => [
    `[${client_id.replace("gateway", "authority")}]`,
    `client_id = "${client_id}"`,
    `client_secret = "${client_secret}"`,
  ]);
  await writeFile(file, apps.join("\n"), { mode: 0o600 });
  return file;
}

function newBrowser() {
  return new Browser({
    "gateway.example": { port: new URL(gateway.url).port },
    [HOST]: { port: authority.port, ca: authority.certificate },
  });
}

async function request(document, variables) {
  const data = await ask(gateway, administrator, document, variables);
  answers.push(JSON.stringify(data));
  return Object.values(data)[0];
}

const mutate = (document, input) => request(document, { input });
const readAuthorization = (id) => request(`query ($id: ID!) { authorization(id: $id) { ${AUTHORIZATION} } }`, { id });
const readConnection = (id) => request(`query ($id: ID!) { connection(id: $id) { ${STATE} } }`, { id });

async function begin(document, input) {
  const { authorization } = await mutate(document, input);
  assert.equal(authorization.status, "PENDING");
  return authorization;
}

/** Goes from the gateway's page through login and consent to the address that leads back, and answers it unopened. */
async function consent(browser, { authorizationUrl }, account) {
  let page = await browser.open(linkOf(await browser.open(authorizationUrl), "go"), { until: CALLBACK });
  for (let forms = 0; !page.left && forms < 3; forms++) {
    page = await browser.submit(page, { login: account, password: "any" }, { until: CALLBACK });
  }
  assert.ok(page.left, `${page.url} does not lead back: ${page.status}`);
  return page.url;
}

/** Consents and comes back; answers how the authorization has ended, and the page that says it. */
async function authorize(browser, document, input, account) {
  const begun = await begin(document, input);
  const page = await browser.open(await consent(browser, begun, account));
  return { page, ...(await readAuthorization(begun.id)) };
}

/** Connects `account`, and answers the connection's id. */
async function connect(account, { browser = newBrowser(), connector = "authority" } = {}) {
  const { status, error, connection } = await authorize(browser, BEGIN, { connectorSlug: connector }, account);
  assert.equal(status, "SUCCEEDED", error);
  return connection.id;
}

const grantsOf = (account) => authority.grants.filter((grant) => grant.account === account);
const reuses = () => authority.events.filter(({ detail }) => /already used/.test(detail ?? ""));

test("connects with PKCE, and stores what was granted", async () => {
  const input = { connectorSlug: "authority", displayName: "By consent", scopes: [...DEFAULT_SCOPES, "calendar"] };
  const { page, error, ...ended } = await authorize(newBrowser(), BEGIN, input, "ada");
  assert.deepEqual([ended.status, error, ended.authorizationUrl], ["SUCCEEDED", null, null]);
  assert.match(page.text, /Authority is connected/);
  assert.equal(ended.test.outcome, "CONNECTED");

  const { state, vendorAccountId, vendorAccountName, scopesGranted, expiresAt } = ended.connection;
  assert.deepEqual([state, vendorAccountId, vendorAccountName], ["ACTIVE", "ada", "The account ada"]);
  assert.deepEqual(scopesGranted.toSorted(), DEFAULT_SCOPES.toSorted(), "the server does not know `calendar`");
  assert.ok(Date.parse(expiresAt) > Date.now());

  const [{ challenge, method }] = authority.codes.filter(({ account }) => account === "ada");
  const [{ asked }] = grantsOf("ada");
  assert.equal(method, "S256");
  assert.equal(createHash("sha256").update(asked.code_verifier).digest("base64url"), challenge);
});

test("a callback that is not the server's answer to this browser exchanges nothing", async () => {
  const since = authority.events.length;
  const [browser, other] = [newBrowser(), newBrowser()];
  const input = { connectorSlug: "authority" };
  const opened = async (address, whose = browser) => (await whose.open(address)).text;
  const changed = (address, change) => {
    const url = new URL(address);
    change(url.searchParams);
    return url;
  };

  for (const change of [(query) => query.set("iss", "https://other.example"), (query) => query.delete("iss")]) {
    const begun = await begin(BEGIN, input);
    const back = await consent(browser, begun, "grace");
    assert.equal(back.searchParams.get("iss"), ISSUER);
    const later = browser.copy();
    assert.match(await opened(changed(back, change)), /was not connected/);
    const { status, error } = await readAuthorization(begun.id);
    assert.equal(status, "REJECTED");
    assert.match(error, /iss/);
    assert.match(await opened(back, later), /Nothing waits for this/);
  }

  const mine = await begin(BEGIN, input);
  const back = await consent(browser, mine, "grace");
  assert.match(await opened(changed(back, (query) => query.set("state", "x".repeat(43)))), /Nothing waits for this/);
  assert.match(await opened(back, newBrowser()), /begun in another browser/);

  const theirs = await begin(BEGIN, input);
  const theirBack = await consent(other, theirs, "mallory");
  const swapped = changed(back, (query) => query.set("state", theirBack.searchParams.get("state")));
  assert.match(await opened(swapped), /begun in another browser/);
  assert.deepEqual(authority.happened(since, "grant.success", "grant.error"), [], "the token endpoint was not asked");

  // In the other's own browser the swapped code is turned in, and the server finds that it is for another verifier.
  assert.match(await opened(swapped, other), /was not connected/);
  assert.equal((await readAuthorization(theirs.id)).status, "REJECTED");
  assert.equal(authority.happened(since, "grant.error").length, 1);
  assert.deepEqual(authority.happened(since, "grant.success"), []);
});

test("a callback is good once", async () => {
  const browser = newBrowser();
  const begun = await begin(BEGIN, { connectorSlug: "authority" });
  const back = await consent(browser, begun, "hedy");
  const later = browser.copy();
  assert.match((await browser.open(back)).text, /is connected/);
  const since = authority.events.length;
  assert.match((await later.open(back)).text, /Nothing waits for this/);
  assert.equal((await browser.open(back)).status, 400);
  assert.deepEqual(authority.events.slice(since), []);
  assert.equal((await readAuthorization(begun.id)).status, "SUCCEEDED");
});

test("no consent, no connection", async () => {
  const browser = newBrowser();
  const begun = await begin(BEGIN, { connectorSlug: "authority" });
  const login = await browser.open(linkOf(await browser.open(begun.authorizationUrl), "go"));
  const cancel = /href="([^"]+\/abort)"/.exec(login.text)[1];
  assert.match((await browser.open(new URL(cancel, ISSUER))).text, /was not connected/);
  const { status, error, connection } = await readAuthorization(begun.id);
  assert.deepEqual([status, connection], ["REJECTED", null]);
  assert.match(error, /access_denied/);
});

test("each refresh uses a refresh token up, and none twice", async () => {
  const since = authority.events.length;
  const connectionId = await connect("emmy");
  for (const times of [1, 2]) {
    const { connection, test } = await mutate(REFRESH, { connectionId });
    assert.deepEqual([connection.state, test.outcome, test.vendorAccountId], ["ACTIVE", "CONNECTED", "emmy"]);
    const [first, ...rest] = grantsOf("emmy");
    assert.equal(first.asked.grant_type, "authorization_code");
    assert.equal(rest.length, times);
    const used = rest.map(({ asked }) => asked.refresh_token);
    assert.deepEqual(used, [first, ...rest.slice(0, -1)].map(({ given }) => given.refresh_token), "each was the latest");
    const consumed = authority.happened(since, "refresh_token.consumed");
    assert.deepEqual(consumed.filter(({ account }) => account === "emmy").map(({ token }) => token), used);
  }
  const given = grantsOf("emmy").map(({ given }) => given);
  assert.equal(new Set(given.map(({ refresh_token }) => refresh_token)).size, 3);
  assert.equal(new Set(given.map(({ access_token }) => access_token)).size, 3);
  assert.deepEqual(authority.happened(since, "grant.error", "grant.revoked"), []);
});

test("the same account can be authorized again, with other scopes too; another one is refused", async () => {
  const browser = newBrowser();
  const connectionId = await connect("lise", { browser });
  const again = await authorize(browser, REAUTHORIZE, { connectionId }, "lise");
  assert.deepEqual([again.status, again.error, again.connection?.id], ["SUCCEEDED", null, connectionId]);
  assert.equal((await mutate(REFRESH, { connectionId })).test.outcome, "CONNECTED");
  const scopes = [...DEFAULT_SCOPES, "email"];
  const edited = await authorize(browser, EDIT_SCOPES, { connectionId, scopes }, "lise");
  assert.deepEqual([edited.status, edited.error, edited.connection?.id], ["SUCCEEDED", null, connectionId]);
  assert.deepEqual(edited.connection.scopesGranted.toSorted(), scopes.toSorted());

  const since = authority.events.length;
  const refused = await authorize(newBrowser(), REAUTHORIZE, { connectionId }, "marie");
  assert.equal(refused.status, "REJECTED");
  assert.match(refused.error, /account/);
  const [fresh] = authority.happened(since, "grant.success");
  const revoked = authority.happened(since, "grant.revoked").map(({ grant }) => grant);
  assert.deepEqual(revoked, [fresh.grant], "it was given back");

  const { connection, test } = await mutate(REFRESH, { connectionId });
  assert.deepEqual([connection.vendorAccountId, test.outcome], ["lise", "CONNECTED"]);
});

test("a disconnect gives the grant back, with the last connection that shares it", async () => {
  const browser = newBrowser();
  const first = await connect("rosa", { browser });
  const second = await connect("rosa", { browser });
  const since = authority.events.length;
  const kept = await mutate(DISCONNECT, { connectionId: first });
  assert.deepEqual([kept.disconnected, kept.revocation, kept.revocationProved], [true, "NOT_APPLICABLE", false]);
  assert.deepEqual(authority.happened(since, "grant.revoked", "refresh_token.destroyed"), []);
  assert.equal((await mutate(REFRESH, { connectionId: second })).test.outcome, "CONNECTED");

  const held = grantsOf("rosa").at(-1).given;
  assert.equal((await introspect(held.refresh_token)).active, true);
  assert.deepEqual(await mutate(DISCONNECT, { connectionId: second }), {
    disconnected: true,
    revocation: "REVOKED",
    revocationProved: true,
    detail: null,
  });
  const destroyed = authority.happened(since, "refresh_token.destroyed");
  assert.deepEqual(destroyed.map(({ token }) => token), [held.refresh_token]);
  assert.equal(authority.happened(since, "grant.revoked").length, 1);
  for (const token of [held.refresh_token, held.access_token]) {
    assert.deepEqual(await introspect(token), { active: false });
  }
  assert.equal(await readConnection(second), null);
});

for (const [connector, account, outcome, state] of [
  ["authority", "sofia", "CREDENTIAL_EXPIRED", "AUTH_EXPIRED"],
  ["authority_revoking", "olga", "CREDENTIAL_REVOKED", "AUTH_REVOKED"],
]) {
  test(`a grant that the server has ended leaves the connection ${state}, and a fresh one brings it back`, async () => {
    const browser = newBrowser();
    const connectionId = await connect(account, { browser, connector });
    assert.equal((await mutate(REFRESH, { connectionId })).test.outcome, "CONNECTED");
    const [{ given }] = grantsOf(account);
    const since = authority.events.length;
    // Somebody else uses the refresh token that the gateway has used up: the server ends the whole grant.
    const form = { grant_type: "refresh_token", refresh_token: given.refresh_token };
    const { status, body } = await authority.post("/token", "gateway", form);
    assert.deepEqual([status, body.error], [400, "invalid_grant"]);
    assert.equal(reuses().at(-1), authority.happened(since, "grant.error")[0]);
    assert.equal(authority.happened(since, "grant.revoked").length, 1);

    const refused = await mutate(REFRESH, { connectionId });
    assert.deepEqual([refused.test.outcome, refused.connection.state], [outcome, state]);
    assert.match(refused.connection.stateReason, /invalid_grant/);
    assert.match((await mutate(TEST, { connectionId })).test.outcome, /^CREDENTIAL_/);

    const again = await authorize(browser, REAUTHORIZE, { connectionId }, account);
    assert.deepEqual([again.status, again.error, again.connection?.state], ["SUCCEEDED", null, "ACTIVE"]);
    assert.equal((await mutate(REFRESH, { connectionId })).test.outcome, "CONNECTED");
  });
}

test("a grant is renewed by itself before it runs out", { timeout: 120_000 }, async () => {
  const events = () => authority.happened(0, "grant.success").filter(({ account }) => account === "brief");
  await until("a renewal", 2 * BRIEF_LIFETIME * 1_000, () => events().length === 2);
  const [first, second] = events();
  assert.ok(second.at - first.at < BRIEF_LIFETIME * 1_000, `after ${second.at - first.at} ms`);
  const [granted, renewed] = grantsOf("brief");
  assert.equal(renewed.asked.refresh_token, granted.given.refresh_token);
  await until("the fresh expiry", 10_000, async () => {
    const { expiresAt, state } = await readConnection(brief);
    assert.equal(state, "ACTIVE");
    return Date.parse(expiresAt) > first.at + BRIEF_LIFETIME * 1_000 + 5_000;
  });
  assert.equal((await mutate(TEST, { connectionId: brief })).test.outcome, "CONNECTED");
});

test("no token, code, verifier or client's secret stands in an answer, the output or the database", async () => {
  const entries = await readdir(gateway.folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const contents = await Promise.all(files.map((file) => readFile(join(file.parentPath ?? file.path, file.name))));
  await gateway.stop();
  assert.ok(gateway.log.length < LOG_MAX, "the output was kept whole");
  assert.ok(contents.some((content) => content.includes("The account ada")), "what is no secret is found");
  const places = [...contents, Buffer.from(gateway.log.join("\n")), Buffer.from(answers.join("\n"))];

  const secrets = new Set(authority.codes.map(({ code }) => code));
  for (const { asked, given } of authority.grants) {
    const tokens = [asked.refresh_token, given.access_token, given.refresh_token, given.id_token];
    for (const secret of [asked.code, asked.code_verifier, ...tokens]) if (secret) secrets.add(secret);
  }
  for (const { client_id, client_secret } of authority.clients) {
    secrets.add(client_secret).add(Buffer.from(`${client_id}:${client_secret}`).toString("base64"));
  }
  assert.ok(secrets.size > 50, `${secrets.size} secrets`);
  const found = [...secrets].filter((secret) => places.some((place) => place.includes(secret))).length;
  assert.equal(found, 0, `${found} of ${secrets.size} secrets were found`);
});

async function introspect(token) {
  return (await authority.post("/token/introspection", "gateway", { token })).body;
}

/** Waits until `holds` does, and asks it four times a second. */
async function until(what, limit, holds) {
  const deadline = Date.now() + limit;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limit} ms`);
    await delay(250);
  }
}
