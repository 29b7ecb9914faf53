//! What most stories begin with.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    app::TestApp,
    vendor::{Recorded, Vendor},
};

/// A webhook connection, and the secret that was shown for it.
pub struct Signed {
    pub connection: String,
    pub secret: String,
}

impl Signed {
    /// Whether a request is signed with the secret, as Standard Webhooks asks; computed here anew.
    pub fn verifies(&self, request: &Recorded) -> bool {
        let key = STANDARD.decode(self.secret.strip_prefix("whsec_").expect("a whsec_ secret")).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
        mac.update(format!("{id}.{timestamp}.{}", request.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        request.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// Connects a generic webhook to this receiver.
pub async fn connect_webhook(app: &TestApp, token: &str, receiver: &Vendor, path: &str) -> Signed {
    connect_webhook_to(app, token, &format!("http://{}{path}", receiver.address)).await
}

/// Connects a generic webhook to whatever is at this address.
pub async fn connect_webhook_to(app: &TestApp, token: &str, url: &str) -> Signed {
    let begin = app
        .graphql(
            token,
            "mutation($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id secret instructions } }",
            json!({"input": {"connectorSlug": "webhook_generic", "displayName": "Orders", "fields": [{"name": "url", "value": url}]}}),
        )
        .await;
    let offer = &begin["data"]["beginSignedConnection"];
    let secret = offer["secret"].as_str().unwrap_or_else(|| panic!("no offer: {begin}")).to_owned();
    let complete = app
        .graphql(
            token,
            "mutation($id: ID!) { completeSignedConnection(input: {offerId: $id}) { __typename ... on ConnectionCreated { connection { id } } ... on ConnectionRejected { test { detail } } } }",
            json!({"id": offer["id"]}),
        )
        .await;
    let connection = complete["data"]["completeSignedConnection"]["connection"]["id"].as_str();
    Signed { connection: connection.unwrap_or_else(|| panic!("not connected: {complete}")).to_owned(), secret }
}

pub const DISPATCH: &str = "mutation($input: DispatchEventInput!) { dispatchEvent(input: $input) { __typename ... on DispatchAccepted { duplicate delivery { id status waitingFor } } ... on DispatchRejected { reason message state missingScopes violations { pointer message } } } }";

/// Dispatches an event with a small payload, and gives the result.
pub async fn dispatch(app: &TestApp, token: &str, connection: &str, event_type: &str, id: &str, when: &str) -> Value {
    let input = json!({"connectionId": connection, "eventType": event_type, "eventIdentifier": id, "payload": {"n": id}, "whenNotActive": when});
    let answer = app.graphql(token, DISPATCH, json!({ "input": input })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["dispatchEvent"].clone()
}

/// A mutation on one connection that must succeed; gives its payload.
pub async fn act(app: &TestApp, token: &str, mutation: &str, connection: &str, fields: &str) -> Value {
    let query = format!("mutation($id: ID!) {{ {mutation}(input: {{connectionId: $id}}) {{ {fields} }} }}");
    let answer = app.graphql(token, &query, json!({ "id": connection })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"][mutation].clone()
}

/// Disconnects, and gives the payload.
pub async fn disconnect(app: &TestApp, token: &str, connection: &str) -> Value {
    act(app, token, "disconnectConnection", connection, "disconnected revocation revocationProved detail").await
}

/// A well-formed id of the same kind that nothing has.
pub fn id_of_nothing(id: &str) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).expect("base64")).expect("text");
    let (tag, rest) = text.split_once(':').expect("a tag, and a number or a token");
    let other = if rest.len() < 20 { "999999999".to_owned() } else { "0123456789abcdef".repeat(rest.len() / 16) };
    URL_SAFE_NO_PAD.encode(format!("{tag}:{other}"))
}
