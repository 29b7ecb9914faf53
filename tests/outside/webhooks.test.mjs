/** Signatures as a receiver of another language checks them: by the official library of Standard Webhooks. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { Webhook } from "standardwebhooks";

import { startGateway } from "./gateway.mjs";
import { ask, dispatchEvent } from "./tour.mjs";

let gateway;
let receiver;
let administrator;
/** What came, oldest first. */
const requests = [];
let came;

before(async () => {
  receiver = createServer(async (request, response) => {
    const body = (await request.toArray()).join("");
    requests.push({ headers: request.headers, body });
    response.writeHead(204).end();
    came?.();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  gateway = await startGateway();
  administrator = await gateway.operatorToken("Administrator");
});

after(async () => {
  await gateway?.stop();
  receiver?.closeAllConnections();
  receiver?.close();
});

async function received(count) {
  const late = AbortSignal.timeout(20_000);
  while (requests.length < count) {
    await Promise.race([
      new Promise((resolve) => (came = resolve)),
      once(late, "abort").then(() => assert.fail(`${requests.length} of ${count} came`)),
    ]);
  }
  return requests[count - 1];
}

const mutate = (document, input) => ask(gateway, administrator, document, { input }).then((data) => Object.values(data)[0]);

test("every message verifies, by both secrets while one gives way to the other, and by nothing else", async () => {
  const url = `http://127.0.0.1:${receiver.address().port}/hook`;
  const offer = await mutate(
    "mutation ($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id secret } }",
    { connectorSlug: "webhook_generic", fields: [{ name: "url", value: url }] },
  );
  const completed = await mutate(
    `mutation ($input: CompleteSignedConnectionInput!) {
      completeSignedConnection(input: $input) { ... on ConnectionCreated { connection { id } } }
    }`,
    { offerId: offer.id },
  );
  const first = new Webhook(offer.secret);
  const test = await received(1);
  assert.equal(first.verify(test.body, test.headers).type, "integration.test");

  await dispatchEvent(gateway, completed.connection.id, "one");
  const event = await received(2);
  const verified = first.verify(event.body, event.headers);
  assert.ok(verified.data, event.body);
  const tampered = event.body.replace("ada@", "eve@");
  assert.notEqual(tampered, event.body);
  assert.throws(() => first.verify(tampered, event.headers), /signature/i);
  const older = { ...event.headers, "webhook-timestamp": `${Number(event.headers["webhook-timestamp"]) - 1}` };
  assert.throws(() => first.verify(event.body, older), /signature/i);
  const renamed = { ...event.headers, "webhook-id": test.headers["webhook-id"] };
  assert.throws(() => first.verify(event.body, renamed), /signature/i);

  const rotated = await mutate(
    `mutation ($input: RotateCredentialsInput!) { rotateCredentials(input: $input) { rotated secret test { detail } } }`,
    { connectionId: completed.connection.id },
  );
  assert.ok(rotated.rotated, rotated.test.detail);
  const second = new Webhook(rotated.secret);
  await dispatchEvent(gateway, completed.connection.id, "three");
  const both = await received(4);
  for (const webhook of [first, second]) assert.equal(webhook.verify(both.body, both.headers).type, verified.type);
  assert.throws(() => second.verify(event.body, event.headers), /signature/i);
});
