import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";

import { getIntrospectionQuery } from "graphql";
import { serverAudits } from "graphql-http";

import { startGateway } from "./gateway.mjs";
import { VIEWER, VIEWER_DATA, within } from "./support.mjs";

let gateway;
let token;

before(async () => {
  gateway = await startGateway();
  token = await gateway.operatorToken("Administrator");
});

after(() => gateway?.stop());

test("the audits of graphql-http", { timeout: 120_000 }, async (t) => {
  const audits = serverAudits({
    url: `${gateway.url}/graphql`,
    fetchFn(url, init = {}) {
      const headers = new Headers(init.headers);
      headers.set("Authorization", `Bearer ${token}`);
      return fetch(url, { ...init, headers });
    },
  });
  assert.ok(audits.length >= 60, `${audits.length} audits`);
  for (const { id, name, fn } of audits) {
    await t.test(`${id}: ${name}`, async () => {
      const { status, reason } = await within(fn(), "the audit");
      assert.equal(status, "ok", reason);
    });
  }
});

/** Posts a body as it is; nothing decodes the answer. */
async function post(body, headers) {
  const sent = httpRequest(`${gateway.url}/graphql`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers },
    signal: AbortSignal.timeout(10_000),
  });
  sent.end(body);
  const [response] = await once(sent, "response");
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(await response.toArray()) };
}

const LARGE = JSON.stringify({ query: getIntrospectionQuery() });
const SMALL = JSON.stringify({ query: VIEWER });

function assertVaries({ headers }) {
  const names = (headers.vary ?? "").split(",").map((name) => name.trim().toLowerCase());
  assert.ok(names.includes("accept-encoding"), `Vary: ${headers.vary}`);
}

test("a large answer is compressed by gzip", async () => {
  const answer = await post(LARGE, { "Accept-Encoding": "gzip" });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-encoding"], "gzip");
  assertVaries(answer);
  const plain = gunzipSync(answer.body);
  assert.ok(JSON.parse(plain).data.__schema.types.length > 0);
  assert.ok(answer.body.length < plain.length / 2, `${plain.length} bytes became ${answer.body.length}`);
});

test("a large answer is compressed by zstd", async () => {
  const answer = await post(LARGE, { "Accept-Encoding": "zstd" });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-encoding"], "zstd");
  assertVaries(answer);
  assert.deepEqual(answer.body.subarray(0, 4), Buffer.from("28b52ffd", "hex"));
});

for (const [what, headers] of [
  ["nothing", {}],
  ["identity", { "Accept-Encoding": "identity" }],
  ["gzip;q=0", { "Accept-Encoding": "gzip;q=0" }],
]) {
  test(`a large answer is not compressed for a client that accepts ${what}`, async () => {
    const answer = await post(LARGE, headers);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-encoding"], undefined);
    assert.ok(JSON.parse(answer.body).data.__schema.types.length > 0);
  });
}

test("a small answer is not compressed", async () => {
  const answer = await post(SMALL, { "Accept-Encoding": "gzip, zstd" });
  assert.equal(answer.headers["content-encoding"], undefined);
  assert.deepEqual(JSON.parse(answer.body), { data: VIEWER_DATA });
});

test("a compressed request is refused", async () => {
  const answer = await post(gzipSync(SMALL), { "Content-Encoding": "gzip" });
  assert.equal(answer.status, 415);
  assert.equal(JSON.parse(answer.body).errors[0].extensions.code, "BAD_USER_INPUT");
});
