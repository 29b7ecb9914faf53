import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { createClient } from "graphql-sse";

import { startGateway } from "./gateway.mjs";
import {
  FOLLOW_NAMES,
  readPieces,
  rename,
  request,
  Sink,
  subscribed,
  UNKNOWN_FIELD,
  VIEWER,
  VIEWER_DATA,
  within,
} from "./support.mjs";
import { connectInbox } from "./tour.mjs";

const ACCEPT = { Accept: "text/event-stream" };

let gateway;
let connectionId;
let token;

before(async () => {
  gateway = await startGateway();
  connectionId = await connectInbox(gateway);
  token = await gateway.operatorToken("Administrator");
});

after(() => gateway?.stop());

/** A client of its own, which ends with the test; `requests` has the signals of what it sent. */
function clientOf(t, bearer = token) {
  const requests = [];
  const client = createClient({
    url: `${gateway.url}/graphql`,
    singleConnection: false,
    headers: { Authorization: `Bearer ${bearer}` },
    fetchFn(url, init) {
      requests.push(init.signal);
      return fetch(url, init);
    },
    abortControllerImpl: AbortController,
    retryAttempts: 0,
  });
  t.after(() => client.dispose());
  return Object.assign(client, { requests });
}

function follow(client, query) {
  const sink = new Sink();
  sink.stop = client.subscribe({ query }, sink);
  return sink;
}

test("a query", async (t) => {
  const sink = follow(clientOf(t), VIEWER);
  await sink.completed();
  assert.deepEqual(sink.results, [{ data: VIEWER_DATA }]);
});

test("of two subscriptions, one ends with its request and the other goes on", async (t) => {
  const client = clientOf(t);
  const ends = follow(client, FOLLOW_NAMES);
  const stays = follow(client, FOLLOW_NAMES);
  await subscribed(gateway, connectionId, ends, stays);
  assert.deepEqual(client.requests.map(({ aborted }) => aborted), [false, false]);

  ends.stop();
  await ends.completed();
  assert.deepEqual(client.requests.map(({ aborted }) => aborted), [true, false]);
  const seen = ends.results.length;
  const name = await rename(gateway, connectionId);
  assert.deepEqual(await stays.findName(name), {
    data: { connectionStateChanged: { connectionId, connection: { displayName: name } } },
  });
  assert.equal(ends.results.length, seen);
});

test("what does not validate is the only result", async (t) => {
  const sink = follow(clientOf(t), UNKNOWN_FIELD);
  await sink.completed();
  assert.equal(sink.results.length, 1);
  const [{ data, errors }] = sink.results;
  assert.equal(data ?? null, null);
  assert.match(errors[0].message, /noSuchField/);
  assert.equal(errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
});

test("a wrong token is refused", async (t) => {
  const error = await follow(clientOf(t, "no.good.token"), VIEWER).ended();
  assert.equal(error?.response?.status, 401);
});

function assertStream(response) {
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^text\/event-stream\s*(;|$)/);
}

for (const [method, sends] of [
  ["POST", { body: { query: VIEWER } }],
  ["GET", { search: { query: VIEWER } }],
]) {
  test(`the stream that a ${method} begins, byte by byte`, async () => {
    const response = await request(gateway, token, { ...sends, headers: ACCEPT });
    assertStream(response);
    const text = await within(response.text(), "the end of the stream");
    const events = text.split("\n\n").filter((event) => event && !event.startsWith(":"));
    assert.equal(events.length, 2, text);
    const [next, complete] = events;
    const data = /^event: next\ndata: (.*)$/.exec(next)?.[1];
    assert.deepEqual(JSON.parse(data ?? next), { data: VIEWER_DATA });
    assert.match(complete, /^event: complete(\ndata:.*)?$/);
  });
}

test("at SIGTERM the stream ends", { timeout: 60_000 }, async (t) => {
  const own = await startGateway();
  t.after(own.stop);
  const inbox = await connectInbox(own);
  const search = { query: FOLLOW_NAMES };
  const response = await request(own, await own.operatorToken("Administrator"), { search, headers: ACCEPT });
  assertStream(response);

  const sink = new Sink();
  const read = readPieces(response, (text) => {
    const events = text.split("\n\n");
    const rest = events.pop();
    for (const event of events) {
      const data = /^event: next\ndata: (.*)$/m.exec(event)?.[1];
      if (data) sink.next(JSON.parse(data));
    }
    return rest;
  });
  await subscribed(own, inbox, sink);
  const stopped = own.stop();
  assert.equal(await within(read, "the end of the stream"), "", "it ends after an event, and is not cut off");
  await within(stopped, "the end of the gateway");
});
