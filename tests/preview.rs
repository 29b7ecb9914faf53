//! What would be sent is shown, and nothing is sent, stored or opened for it.

use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, act},
    keys::{self, FIRST},
    vendor::Vendor,
};

on_both!(a_webhooks_request_is_shown, what_would_be_rejected_is, a_key_is_not_shown);

const PREVIEW: &str = "query($input: DispatchEventInput!) { previewDispatch(input: $input) { __typename ... on DispatchPrepared { method url headers { name value } body } ... on DispatchRejected { reason message state violations { pointer } } } }";

async fn preview(app: &TestApp, input: &Value) -> Value {
    app.graphql(&app.module_token("forms"), PREVIEW, json!({ "input": input })).await
}

fn header<'a>(shown: &'a Value, name: &str) -> &'a str {
    let headers = shown["headers"].as_array().expect("headers");
    let found = headers.iter().find(|header| header["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {shown}"))["value"].as_str().expect("a value")
}

async fn a_webhooks_request_is_shown(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/in?token=planted-in-an-address").await.connection;
    // A payload cannot pass for what is sealed, and nothing of it is taken for a mark.
    let input = json!({"connectionId": id, "eventType": "a.b", "eventIdentifier": "1", "payload": {"n": "sealed0value [sealed]"}});
    let answer = preview(&app, &input).await;
    let shown = &answer["data"]["previewDispatch"];
    assert_eq!(shown["method"], "POST", "{answer}");
    assert_eq!(shown["url"], format!("http://{}/in?[sealed]", receiver.address));
    assert_eq!(header(shown, "webhook-signature"), "v1,[sealed]");
    assert!(!answer.to_string().contains("planted"), "{answer}");
    assert_eq!(app.count_rows("deliveries").await, 0);
    assert_eq!(receiver.requests().len(), 1, "the test of the connection alone");

    // It is what is sent in the end, in the bytes of its body too.
    let dispatched = app.graphql(&app.module_token("forms"), calls::DISPATCH, json!({ "input": input })).await;
    assert_eq!(dispatched["data"]["dispatchEvent"]["duplicate"], false, "{dispatched}");
    let sent = receiver.wait_for(2).await.remove(1);
    let again = preview(&app, &input).await;
    let again = &again["data"]["previewDispatch"];
    assert_eq!(again["body"], sent.body);
    assert_eq!(header(again, "webhook-id"), sent.header("webhook-id"));
    assert_eq!(header(again, "content-type"), sent.header("content-type"));
}

async fn what_would_be_rejected_is(database: Database) {
    let (_vendor, app, admin, id) = keys::connected(database).await;
    let event = |event_type: &str, payload: Value| json!({"connectionId": id, "eventType": event_type, "eventIdentifier": "1", "payload": payload});
    let reason = async |input: Value| preview(&app, &input).await["data"]["previewDispatch"]["reason"].clone();
    assert_eq!(reason(event("no.such", json!({}))).await, "OPERATION_UNKNOWN");
    assert_eq!(reason(event("notification.sent", json!({}))).await, "PAYLOAD_INVALID");
    let mut gone = event("notification.sent", json!({}));
    gone["connectionId"] = json!(calls::id_of_nothing(&id));
    assert_eq!(reason(gone).await, "CONNECTION_NOT_FOUND");
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    let example = example(&app, &admin).await;
    let mut paused = event("notification.sent", example);
    assert_eq!(reason(paused.clone()).await, "CONNECTION_NOT_ACTIVE");
    paused["whenNotActive"] = json!("HOLD");
    assert_eq!(preview(&app, &paused).await["data"]["previewDispatch"]["method"], "POST");
    let refused = app.graphql(&app.token("Viewer"), PREVIEW, json!({ "input": paused })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
}

/// The example of the payload that the library has.
async fn example(app: &TestApp, token: &str) -> Value {
    let query = "{ connector(slug: \"brevo\") { operations { eventType examplePayload } } }";
    let answer = app.graphql(token, query, json!({})).await;
    let operations = answer["data"]["connector"]["operations"].as_array().expect("operations").clone();
    let found = operations.into_iter().find(|operation| operation["eventType"] == "notification.sent");
    found.unwrap_or_else(|| panic!("{answer}"))["examplePayload"].clone()
}

async fn a_key_is_not_shown(database: Database) {
    let (vendor, app, admin, id) = keys::connected(database).await;
    let asked = vendor.requests().len();
    // Without the credential's row there is nothing to open.
    app.execute("DELETE FROM credentials").await;
    let payload = example(&app, &admin).await;
    let input =
        json!({"connectionId": id, "eventType": "notification.sent", "eventIdentifier": "1", "payload": payload});
    let answer = preview(&app, &input).await;
    let shown = &answer["data"]["previewDispatch"];
    assert_eq!(header(shown, "api-key"), "[sealed]", "{answer}");
    assert!(!answer.to_string().contains(FIRST));
    assert_eq!(vendor.requests().len(), asked);
}
