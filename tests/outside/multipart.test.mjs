import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client/core";

import { startGateway } from "./gateway.mjs";
import { FOLLOW_NAMES, readPieces, rename, request, Sink, subscribed } from "./support.mjs";
import { connectInbox } from "./tour.mjs";

let gateway;
let connectionId;
let token;

before(async () => {
  gateway = await startGateway();
  connectionId = await connectInbox(gateway);
  token = await gateway.operatorToken("Administrator");
});

after(() => gateway?.stop());

test("a subscription comes in parts", async (t) => {
  const aborted = new AbortController();
  t.after(() => aborted.abort());
  const response = await request(gateway, token, {
    body: { query: FOLLOW_NAMES },
    headers: { Accept: 'multipart/mixed;subscriptionSpec="1.0", application/json' },
    signal: aborted.signal,
  });
  assert.equal(response.status, 200);
  const type = response.headers.get("content-type").replaceAll(/[\s"]/g, "");
  assert.equal(type, "multipart/mixed;boundary=-;subscriptionSpec=1.0");

  const sink = new Sink();
  const parts = [];
  readPieces(response, (text) => {
    const complete = text.split(/(?:\r\n|^)---/);
    const rest = complete.pop();
    for (const part of complete.filter((part) => part.trim())) {
      const [headers, body] = part.split("\r\n\r\n");
      parts.push({ headers, body });
      const { payload } = JSON.parse(body);
      if (payload) sink.next(payload); // without one it is a heartbeat
    }
    return rest;
  }).then(sink.complete, sink.error);
  await subscribed(gateway, connectionId, sink);
  const name = await rename(gateway, connectionId);
  const payload = { data: { connectionStateChanged: { connectionId, connection: { displayName: name } } } };
  assert.deepEqual(await sink.findName(name), payload);
  for (const { headers } of parts) {
    assert.match(headers, /^\r\nContent-Type: application\/json(; *charset=utf-8)?$/i);
  }
  assert.deepEqual(JSON.parse(parts.findLast(({ body }) => body.includes(name)).body), { payload });
});

test("Apollo Client subscribes over HTTP", async (t) => {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: new HttpLink({ uri: `${gateway.url}/graphql`, headers: { Authorization: `Bearer ${token}` } }),
  });
  t.after(() => client.stop());
  const sink = new Sink();
  const subscription = client.subscribe({ query: gql(FOLLOW_NAMES) }).subscribe(sink);
  t.after(() => subscription.unsubscribe());
  await subscribed(gateway, connectionId, sink);
  const name = await rename(gateway, connectionId);
  const { data, error } = await sink.findName(name);
  assert.equal(error, undefined);
  assert.equal(data.connectionStateChanged.connectionId, connectionId);
});
