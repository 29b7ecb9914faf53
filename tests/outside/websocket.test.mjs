import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { startGateway } from "./gateway.mjs";
import { FOLLOW_NAMES, RENAME, rename, Sink, subscribed, UNKNOWN_FIELD, VIEWER, VIEWER_DATA, within } from "./support.mjs";
import { connectInbox } from "./tour.mjs";

let gateway;
let connectionId;

before(async () => {
  gateway = await startGateway();
  connectionId = await connectInbox(gateway);
});

after(() => gateway?.stop());

const socketUrl = (gateway) => `${gateway.url.replace("http", "ws")}/graphql`;

/** A client of its own, which ends with the test; it does not connect again unless `options` say so. */
async function clientOf(t, gateway, { token, ...options } = {}) {
  const bearer = token ?? (await gateway.operatorToken("Administrator"));
  const client = createClient({
    url: socketUrl(gateway),
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${bearer}` },
    retryAttempts: 0,
    onNonLazyError: () => {},
    ...options,
  });
  t.after(() => client.dispose());
  return client;
}

/** Runs an operation; `stop` completes it. */
function follow(client, query, variables) {
  const sink = new Sink();
  sink.stop = client.subscribe({ query, variables }, sink);
  return sink;
}

/** The results of an operation that ends by itself. */
async function run(client, query, variables) {
  const sink = follow(client, query, variables);
  await sink.completed();
  return sink.results;
}

/** A socket that connects now: `outcome` is "connected", or how it was closed. */
async function socketOf(t, gateway, token) {
  const client = await clientOf(t, gateway, { token, lazy: false });
  const connected = new Promise((resolve) => client.on("connected", () => resolve("connected")));
  const closed = new Promise((resolve) => client.on("closed", ({ code, reason }) => resolve({ code, reason })));
  return { client, closed, outcome: await within(Promise.race([connected, closed]), "an answer to connection_init") };
}

test("a query and a mutation", async (t) => {
  const client = await clientOf(t, gateway);
  assert.deepEqual(await run(client, VIEWER), [{ data: VIEWER_DATA }]);
  assert.deepEqual(await run(client, RENAME, { connectionId, displayName: "By socket" }), [
    { data: { renameConnection: { connection: { displayName: "By socket" } } } },
  ]);
});

test("a subscription receives what happens over HTTP", async (t) => {
  const sink = follow(await clientOf(t, gateway), FOLLOW_NAMES);
  await subscribed(gateway, connectionId, sink);
  const name = await rename(gateway, connectionId);
  assert.deepEqual(await sink.findName(name), {
    data: { connectionStateChanged: { connectionId, connection: { displayName: name } } },
  });
  sink.stop();
  await sink.completed();
});

test("a subscription is an iterator", async (t) => {
  const client = await clientOf(t, gateway);
  const sink = new Sink();
  const iterated = (async () => {
    for await (const result of client.iterate({ query: FOLLOW_NAMES })) {
      sink.next(result);
      if (sink.results.length === 2) return;
    }
  })();
  await subscribed(gateway, connectionId, sink);
  await rename(gateway, connectionId);
  await within(iterated, "two events");
  assert.equal(sink.results.length, 2);
});

test("of two subscriptions on one socket, one ends and the other goes on", async (t) => {
  const sockets = [];
  const messages = [];
  const client = await clientOf(t, gateway, {
    on: { opened: (socket) => sockets.push(socket), message: (message) => messages.push(message) },
  });
  const ends = follow(client, FOLLOW_NAMES);
  const stays = follow(client, FOLLOW_NAMES);
  await subscribed(gateway, connectionId, ends, stays);
  const events = () => messages.splice(0).filter(({ payload }) => payload?.data?.connectionStateChanged);
  assert.equal(new Set(events().map(({ id }) => id)).size, 2);

  ends.stop();
  await ends.completed();
  await run(client, VIEWER); // the gateway takes messages in order: it has read `complete`
  events();
  await stays.findName(await rename(gateway, connectionId));
  await run(client, VIEWER);
  assert.equal(events().length, 1);
  assert.equal(sockets.length, 1);
});

test("what does not validate is an error of its operation alone", async (t) => {
  const client = await clientOf(t, gateway);
  const stays = follow(client, FOLLOW_NAMES);
  await subscribed(gateway, connectionId, stays);
  const sink = follow(client, UNKNOWN_FIELD);
  const error = await sink.ended();
  assert.match(error[0].message, /noSuchField/);
  assert.equal(error[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  assert.deepEqual(sink.results, []);
  await stays.findName(await rename(gateway, connectionId));
});

test("a wrong token closes the socket", async (t) => {
  const error = await follow(await clientOf(t, gateway, { token: "no.good.token" }), VIEWER).ended();
  assert.equal(error?.code, 4403);
});

test("a token that runs out closes the socket, and the client goes on with a fresh one", async (t) => {
  const ttls = ["3s", "1h"];
  const eventsAtClose = [];
  const codes = [];
  const sink = new Sink();
  const client = await clientOf(t, gateway, {
    connectionParams: async () => ({
      Authorization: `Bearer ${await gateway.operatorToken("Administrator", { ttl: ttls.shift() })}`,
    }),
    shouldRetry: () => true,
    retryAttempts: 3,
    retryWait: () => Promise.resolve(),
    on: {
      closed: ({ code }) => {
        codes.push(code);
        eventsAtClose.push(sink.results.length);
      },
    },
  });
  const reconnected = new Promise((resolve) => client.on("connected", (socket, payload, again) => again && resolve()));
  client.subscribe({ query: FOLLOW_NAMES }, sink);
  await subscribed(gateway, connectionId, sink);
  await within(reconnected, "a second connection");
  assert.deepEqual(codes, [4403]);
  assert.ok(eventsAtClose[0] > 0, "the subscription ran");
  await subscribed(gateway, connectionId, sink);
  assert.deepEqual(codes, [4403]);
});

test("at SIGTERM every socket is told that the gateway goes away", { timeout: 60_000 }, async (t) => {
  const own = await startGateway();
  t.after(own.stop);
  const inbox = await connectInbox(own);

  const idle = await socketOf(t, own);
  const busy = await socketOf(t, own);
  await subscribed(own, inbox, follow(busy.client, FOLLOW_NAMES));
  const silent = new WebSocket(socketUrl(own), "graphql-transport-ws");
  await once(silent, "open", { signal: AbortSignal.timeout(10_000) });
  const silentClosed = once(silent, "close");

  const stopped = own.stop();
  const closed = Promise.all([idle.closed, busy.closed, silentClosed.then(([code]) => ({ code }))]);
  const codes = (await within(closed, "the close of all sockets")).map(({ code }) => code);
  assert.deepEqual(codes, [1001, 1001, 1001]);
  await within(stopped, "the end of the gateway");
});

test("an operator has so many sockets at a time", { timeout: 60_000 }, async (t) => {
  const own = await startGateway({ GATEWAY_MAX_SOCKETS: "2" });
  t.after(own.stop);
  const first = await own.operatorToken("Administrator");
  const second = await own.operatorToken("Administrator", { operator: 2 });

  const one = await socketOf(t, own, first);
  assert.equal(one.outcome, "connected");
  assert.equal((await socketOf(t, own, first)).outcome, "connected");
  const { code, reason } = (await socketOf(t, own, first)).outcome;
  assert.equal(code, 1013);
  assert.match(reason, /\b2\b/);
  assert.equal((await socketOf(t, own, second)).outcome, "connected");

  await one.client.dispose();
  await within(one.closed, "the close of the socket");
  // The place is free once the gateway, too, is through with the socket.
  let { outcome } = await socketOf(t, own, first);
  for (let attempt = 0; attempt < 20 && outcome.code === 1013; attempt++) ({ outcome } = await socketOf(t, own, first));
  assert.equal(outcome, "connected");
});
