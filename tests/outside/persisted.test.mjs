import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";

import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client/core";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";

import { startGateway } from "./gateway.mjs";
import { RENAME, request, VIEWER_DATA, within } from "./support.mjs";
import { ask, connectInbox } from "./tour.mjs";

let gateway;
let token;

before(async () => {
  gateway = await startGateway();
  token = await gateway.operatorToken("Administrator");
});

after(() => gateway?.stop());

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const hashed = (sha256Hash, version = 1) => ({ persistedQuery: { version, sha256Hash } });

async function post(body) {
  const response = await request(gateway, token, { body });
  return { status: response.status, ...(await response.json()) };
}

async function get(sha256Hash, variables = {}) {
  const search = { extensions: JSON.stringify(hashed(sha256Hash)), variables: JSON.stringify(variables) };
  const response = await request(gateway, token, { search });
  return { status: response.status, allow: response.headers.get("allow"), ...(await response.json()) };
}

function assertNotFound({ status, errors, data }) {
  assert.equal(status, 200);
  assert.equal(data ?? null, null);
  assert.equal(errors.length, 1);
  assert.equal(errors[0].message, "PersistedQueryNotFound");
  assert.equal(errors[0].extensions.code, "PERSISTED_QUERY_NOT_FOUND");
}

test("a hash stands for its query once both were sent", async () => {
  const query = "query Registered { viewer { role } }";
  const hash = sha256(query);
  assertNotFound(await post({ extensions: hashed(hash) }));
  assertNotFound(await get(hash));
  assert.deepEqual(await post({ query, extensions: hashed(hash) }), { status: 200, data: VIEWER_DATA });
  assert.deepEqual(await post({ extensions: hashed(hash) }), { status: 200, data: VIEWER_DATA });
  assert.deepEqual(await get(hash), { status: 200, allow: null, data: VIEWER_DATA });
});

test("a hash of something else is refused, and nothing is registered", async () => {
  const query = "query Mismatched { viewer { role } }";
  const wrong = sha256("query Other { viewer { role } }");
  const { data, errors } = await post({ query, extensions: hashed(wrong) });
  assert.equal(data ?? null, null);
  assert.equal(errors[0].extensions.code, "BAD_USER_INPUT");
  assertNotFound(await post({ extensions: hashed(wrong) }));
  assertNotFound(await post({ extensions: hashed(sha256(query)) }));
});

test("another version of the protocol is refused", async () => {
  const query = "query Versioned { viewer { role } }";
  const hash = sha256(query);
  assert.deepEqual(await post({ query, extensions: hashed(hash) }), { status: 200, data: VIEWER_DATA });
  for (const body of [{ extensions: hashed(hash, 2) }, { query, extensions: hashed(hash, 2) }]) {
    const { data, errors } = await post(body);
    assert.equal(data ?? null, null);
    assert.notEqual(errors[0].message, "PersistedQueryNotFound");
  }
});

test("the hash of a mutation is refused over GET", async () => {
  const connectionId = await connectInbox(gateway);
  const hash = sha256(RENAME);
  const registered = await post({
    query: RENAME,
    variables: { connectionId, displayName: "By POST" },
    extensions: hashed(hash),
  });
  assert.equal(registered.data.renameConnection.connection.displayName, "By POST");
  const { status, allow } = await get(hash, { connectionId, displayName: "By GET" });
  assert.deepEqual({ status, allow }, { status: 405, allow: "POST" });
  const { connection } = await ask(gateway, token, "query ($id: ID!) { connection(id: $id) { displayName } }", {
    id: connectionId,
  });
  assert.equal(connection.displayName, "By POST");
});

test("Apollo Client sends a query once, and then its hash", async () => {
  const requests = [];
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: new PersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(
      new HttpLink({
        uri: `${gateway.url}/graphql`,
        headers: { Authorization: `Bearer ${token}` },
        fetch(uri, init) {
          const sent = init.method === "GET" ? Object.fromEntries(new URL(uri).searchParams) : JSON.parse(init.body);
          requests.push({ method: init.method, sends: ["query", "extensions"].filter((name) => name in sent) });
          return fetch(uri, init);
        },
      }),
    ),
  });
  const query = gql("query ByApollo { viewer { role } }");
  const ask = async () => {
    const { data } = await within(client.query({ query, fetchPolicy: "network-only" }), "the answer");
    assert.equal(data.viewer.role, "Administrator");
  };

  await ask();
  const byHash = { method: "GET", sends: ["extensions"] };
  assert.deepEqual(requests.splice(0), [byHash, { method: "POST", sends: ["query", "extensions"] }]);
  await ask();
  assert.deepEqual(requests, [byHash]);
  client.stop();
});
