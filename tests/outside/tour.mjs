/** The README's tour, as a platform's own code would take it: over HTTP, with an operator's token and a module's. */

/** The data that a document brings; its errors are thrown. */
export async function ask(gateway, token, query, variables) {
  const response = await fetch(`${gateway.url}/graphql`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/** Connects the gateway to its own receiver, and answers the connection's id. */
export async function connectInbox(gateway) {
  const administrator = await gateway.operatorToken("Administrator");
  const inbox = `${gateway.url}/sandbox/inbox`;
  const { beginSignedConnection: offer } = await ask(
    gateway,
    administrator,
    "mutation ($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id secret } }",
    { input: { connectorSlug: "webhook_generic", displayName: "Inbox", fields: [{ name: "url", value: inbox }] } },
  );
  const registered = await fetch(`${inbox}/secret`, { method: "PUT", body: offer.secret });
  if (!registered.ok) throw new Error(`the receiver refused the secret: HTTP ${registered.status}`);
  const { completeSignedConnection: completed } = await ask(
    gateway,
    administrator,
    `mutation ($offerId: ID!) {
      completeSignedConnection(input: { offerId: $offerId }) {
        ... on ConnectionCreated { connection { id } }
        ... on ConnectionRejected { test { outcome detail } }
      }
    }`,
    { offerId: offer.id },
  );
  if (!completed.connection) throw new Error(JSON.stringify(completed));
  return completed.connection.id;
}

/** Hands one event over, as the module `forms`. */
export async function dispatchEvent(gateway, connectionId, eventIdentifier) {
  const { dispatchEvent: result } = await ask(
    gateway,
    await gateway.moduleToken("forms"),
    `mutation ($input: DispatchEventInput!) {
      dispatchEvent(input: $input) {
        ... on DispatchAccepted { delivery { id } }
        ... on DispatchRejected { reason message }
      }
    }`,
    { input: { connectionId, eventType: "submission.created", eventIdentifier, payload: { email: "ada@example.com" } } },
  );
  if (!result.delivery) throw new Error(JSON.stringify(result));
}
