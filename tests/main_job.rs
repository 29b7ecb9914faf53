//! A connection lives from creation to disconnect: through the real router, both databases and real sockets.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, Signed},
    vendor::{Reply, Vendor},
};

on_both!(
    a_connection_lives_from_creation_to_disconnect,
    a_failed_delivery_is_tried_again_and_logged,
    a_failed_delivery_is_retried_by_hand,
    what_is_held_drains_when_the_connection_resumes,
    a_failed_test_on_resume_leaves_the_connection_in_error,
    a_webhook_that_is_gone_turns_the_connection_to_error,
    twenty_failures_in_a_row_turn_the_connection_to_error,
    the_same_event_twice_is_one_delivery,
    deliveries_accepted_before_a_restart_arrive_after_it,
    settings_are_tested_before_they_are_stored,
    a_verb_ends_whatever_becomes_of_the_request,
    an_offer_is_good_for_an_hour_and_for_its_operator,
);

async fn a_connection_lives_from_creation_to_disconnect(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let mut states = app
        .subscribe(
            &admin,
            "subscription { connectionStateChanged { change state previousState cursor connection { displayName } } }",
        )
        .await;
    let mut log = app
        .subscribe(
            &admin,
            "subscription { deliveryLogged { cursor entry { outcome eventIdentifier attempt vendorResponseCode } } }",
        )
        .await;
    let mut activity = app
        .subscribe(
            &admin,
            "subscription { activityLogged { entry { action outcome operator { id name } connectionName } } }",
        )
        .await;

    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events?token=query-secret").await;
    let test = &receiver.wait_for(1).await[0];
    assert!(signed.verifies(test), "the test message is signed with the secret that was shown");
    assert_eq!(test.json()["type"], "integration.test");
    let created = states.next().await;
    assert_eq!(created["connectionStateChanged"]["change"], "CREATED");
    assert_eq!(created["connectionStateChanged"]["connection"]["displayName"], "Orders");
    assert_eq!(activity.next().await["activityLogged"]["entry"]["action"], "CONNECTION_CREATED");

    let shown = app
        .graphql(&admin, "query($id: ID!) { connection(id: $id) { state destinationLabel configuration { name value } lastTest { outcome proof } stateHistory { nodes { state cause } } operatorOfRecord { id name } } }", json!({"id": signed.connection}))
        .await;
    let connection = &shown["data"]["connection"];
    assert_eq!(connection["state"], "ACTIVE");
    assert_eq!(connection["destinationLabel"], "POST /events");
    assert!(!shown.to_string().contains("query-secret"), "{shown}");
    assert_eq!(connection["stateHistory"]["nodes"], json!([{"state": "ACTIVE", "cause": "TEST"}]));
    assert_eq!(connection["operatorOfRecord"]["name"], "Ada");

    let accepted = calls::dispatch(&app, &module, &signed.connection, "submission.created", "17", "REJECT").await;
    assert_eq!(accepted["__typename"], "DispatchAccepted", "{accepted}");
    let delivered = receiver.wait_for(2).await[1].clone();
    assert!(signed.verifies(&delivered));
    assert_eq!(delivered.path, "/events?token=query-secret");
    assert_eq!(delivered.json()["type"], "submission.created");
    let logged = log.next().await;
    assert_eq!(
        logged["deliveryLogged"]["entry"],
        json!({"outcome": "DELIVERED", "eventIdentifier": "17", "attempt": 1, "vendorResponseCode": 204})
    );

    let paused =
        calls::act(&app, &admin, "pauseConnection", &signed.connection, "connection { state stateReason }").await;
    assert_eq!(paused["connection"]["state"], "PAUSED");
    assert_eq!(states.next().await["connectionStateChanged"]["state"], "PAUSED");
    let refused = calls::dispatch(&app, &module, &signed.connection, "submission.created", "18", "REJECT").await;
    assert_eq!(refused["reason"], "CONNECTION_NOT_ACTIVE");
    let resumed =
        calls::act(&app, &admin, "resumeConnection", &signed.connection, "connection { state } test { outcome }").await;
    assert_eq!(resumed, json!({"connection": {"state": "ACTIVE"}, "test": {"outcome": "CONNECTED"}}));
    assert_eq!(states.next().await["connectionStateChanged"]["previousState"], "PAUSED");

    let gone = calls::disconnect(&app, &admin, &signed.connection).await;
    assert_eq!(gone["disconnected"], true);
    assert_eq!(gone["revocation"], "NOT_APPLICABLE");
    let removed = states.next().await;
    assert_eq!(removed["connectionStateChanged"]["change"], "REMOVED");
    assert_eq!(removed["connectionStateChanged"]["connection"], json!(null));
    let after = app.graphql(&admin, "query($id: ID!) { connection(id: $id) { id } deliveryLog { nodes { connectionName connectorSlug connection { id } } } }", json!({"id": signed.connection})).await;
    assert_eq!(after["data"]["connection"], json!(null));
    assert_eq!(
        after["data"]["deliveryLog"]["nodes"],
        json!([{"connectionName": "Orders", "connectorSlug": "webhook_generic", "connection": null}])
    );
    for action in ["CONNECTION_PAUSED", "CONNECTION_RESUMED", "CONNECTION_DISCONNECTED"] {
        let entry = activity.next().await;
        assert_eq!(entry["activityLogged"]["entry"]["action"], action);
        assert_eq!(entry["activityLogged"]["entry"]["outcome"], "SUCCEEDED");
        assert_eq!(entry["activityLogged"]["entry"]["operator"]["name"], "Ada");
    }
    app.stop().await;
}

async fn a_failed_delivery_is_tried_again_and_logged(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let mut log = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome failure attempt vendorResponseCode vendorMessage delivery { status waitingFor } } } }").await;
    receiver.answer(|_| Reply { body: "out of order".into(), ..Reply::status(503) });
    calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    let first = log.next().await["deliveryLogged"]["entry"].clone();
    assert_eq!(first["outcome"], "RETRIED", "{first}");
    assert_eq!((&first["failure"], &first["vendorResponseCode"]), (&json!("VENDOR_ERROR"), &json!(503)));
    assert_eq!(first["vendorMessage"], "out of order");
    assert_eq!(first["delivery"], json!({"status": "QUEUED", "waitingFor": "SCHEDULE"}));

    receiver.answer(|_| Reply::status(429).header("retry-after", "60"));
    app.clock.advance(TimeDelta::seconds(6));
    assert_eq!(log.next().await["deliveryLogged"]["entry"]["failure"], "RATE_LIMITED");

    receiver.answer(|_| Reply::status(200));
    app.clock.advance(TimeDelta::seconds(331));
    let last = log.next().await["deliveryLogged"]["entry"].clone();
    assert_eq!((&last["outcome"], &last["attempt"]), (&json!("DELIVERED"), &json!(3)));
    assert_eq!(last["delivery"], json!({"status": "DELIVERED", "waitingFor": null}));
    let sent = receiver.requests();
    assert_eq!(sent.len(), 4, "one test and three attempts");
    assert!(sent[1..].iter().all(|request| signed.verifies(request)));
    assert_eq!(sent[1].header("webhook-id"), sent[3].header("webhook-id"), "every attempt carries the same id");
    assert_ne!(sent[1].header("webhook-timestamp"), sent[3].header("webhook-timestamp"));
    app.stop().await;
}

async fn a_failed_delivery_is_retried_by_hand(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, editor) = (app.token("Administrator"), app.token("Editor"));
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let mut log = app.subscribe(&admin, "subscription { deliveryLogged { entry { id outcome retryable } } }").await;
    receiver.answer(|_| Reply::status(422));
    calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    let failed = log.next().await["deliveryLogged"]["entry"].clone();
    assert_eq!((&failed["outcome"], &failed["retryable"]), (&json!("FAILED"), &json!(true)));

    receiver.answer(|_| Reply::status(200));
    let retry = "mutation($id: ID!, $key: String) { retryDelivery(input: {deliveryEntryId: $id, idempotencyKey: $key}) { __typename ... on DeliveryRetried { entry { id outcome attempt retryOf { id outcome retryable } } } ... on RetryRejected { reason } } }";
    let id = failed["id"].clone();
    let first = app.graphql(&editor, retry, json!({"id": id, "key": "k1"})).await["data"]["retryDelivery"].clone();
    assert_eq!((&first["entry"]["outcome"], &first["entry"]["attempt"]), (&json!("DELIVERED"), &json!(2)), "{first}");
    assert_eq!(first["entry"]["retryOf"], json!({"id": id, "outcome": "FAILED", "retryable": false}));
    let again = app.graphql(&editor, retry, json!({"id": id, "key": "k1"})).await["data"]["retryDelivery"].clone();
    assert_eq!(again, first, "the same call again gets the first answer");
    let other = app.graphql(&editor, retry, json!({"id": id, "key": "k2"})).await["data"]["retryDelivery"].clone();
    assert_eq!(other, json!({"__typename": "RetryRejected", "reason": "SUPERSEDED"}));
    assert_eq!(receiver.requests().len(), 3, "test, attempt, retry");
    let activity = app
        .graphql(
            &admin,
            "{ activityLog(filter: {actions: [DELIVERY_RETRIED]}) { nodes { outcome connectionName } } }",
            json!({}),
        )
        .await;
    assert_eq!(activity["data"]["activityLog"]["nodes"], json!([{"outcome": "SUCCEEDED", "connectionName": "Orders"}]));
    app.stop().await;
}

async fn what_is_held_drains_when_the_connection_resumes(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    calls::act(&app, &admin, "pauseConnection", &signed.connection, "connection { state }").await;
    for n in 0..5 {
        let held = calls::dispatch(&app, &module, &signed.connection, "a.b", &n.to_string(), "HOLD").await;
        assert_eq!(
            (&held["delivery"]["status"], &held["delivery"]["waitingFor"]),
            (&json!("HELD"), &json!("CONNECTION")),
            "{held}"
        );
    }
    let pending = "query($id: ID!) { connection(id: $id) { pendingDeliveries } }";
    let before = app.graphql(&admin, pending, json!({"id": signed.connection})).await;
    assert_eq!(before["data"]["connection"]["pendingDeliveries"], 5);
    assert_eq!(receiver.requests().len(), 1, "only the test has been sent");
    calls::act(&app, &admin, "resumeConnection", &signed.connection, "connection { state }").await;
    receiver.wait_for(7).await;
    app.stop().await;
}

async fn a_failed_test_on_resume_leaves_the_connection_in_error(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let refused = app
        .graphql(
            &admin,
            "mutation($id: ID!) { resumeConnection(input: {connectionId: $id}) { test { outcome } } }",
            json!({"id": signed.connection}),
        )
        .await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "CONFLICT", "{refused}");
    calls::act(&app, &admin, "pauseConnection", &signed.connection, "connection { state }").await;
    receiver.answer(|_| Reply::status(500));
    let resumed = calls::act(
        &app,
        &admin,
        "resumeConnection",
        &signed.connection,
        "connection { state stateReason } test { outcome vendorErrorCode }",
    )
    .await;
    assert_eq!(resumed["connection"]["state"], "ERROR");
    assert!(resumed["connection"]["stateReason"].is_string());
    assert_eq!(resumed["test"]["outcome"], "VENDOR_ERROR");
    receiver.answer(|_| Reply::status(200));
    let tested =
        calls::act(&app, &admin, "testConnection", &signed.connection, "connection { state stateReason }").await;
    assert_eq!(tested["connection"], json!({"state": "ACTIVE", "stateReason": null}));
    app.stop().await;
}

async fn a_webhook_that_is_gone_turns_the_connection_to_error(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let mut states = app.subscribe(&admin, "subscription { connectionStateChanged { state cause reason } }").await;
    receiver.answer(|_| Reply::status(410));
    calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!((&change["state"], &change["cause"]), (&json!("ERROR"), &json!("DELIVERY")), "{change}");
    app.stop().await;
}

async fn twenty_failures_in_a_row_turn_the_connection_to_error(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let mut states = app.subscribe(&admin, "subscription { connectionStateChanged { state cause } }").await;
    let mut log = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    receiver.answer(|_| Reply::status(500));
    for n in 0..19 {
        calls::dispatch(&app, &module, &signed.connection, "a.b", &n.to_string(), "REJECT").await;
        log.next().await;
    }
    app.clock.advance(TimeDelta::minutes(11));
    // The clock has made the second attempts due; the twentieth failure meets the pattern.
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!(change, json!({"state": "ERROR", "cause": "DELIVERY"}));
    app.stop().await;
}

async fn the_same_event_twice_is_one_delivery(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let first = calls::dispatch(&app, &module, &signed.connection, "a.b", "1", "REJECT").await;
    let second = calls::dispatch(&app, &module, &signed.connection, "a.b", "1", "REJECT").await;
    assert_eq!((&first["duplicate"], &second["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["delivery"]["id"], second["delivery"]["id"]);
    let mismatch = app
        .graphql(&module, calls::DISPATCH, json!({"input": {"connectionId": signed.connection, "eventType": "a.b", "eventIdentifier": "1", "payload": {"other": true}}}))
        .await;
    assert_eq!(mismatch["data"]["dispatchEvent"]["reason"], "IDEMPOTENCY_MISMATCH", "{mismatch}");
    let other_module =
        calls::dispatch(&app, &app.module_token("posts"), &signed.connection, "a.b", "1", "REJECT").await;
    assert_eq!(other_module["duplicate"], false, "another module's key is another key");
    receiver.wait_for(3).await;
    app.stop().await;
}

async fn deliveries_accepted_before_a_restart_arrive_after_it(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    receiver.answer(|_| Reply::status(503));
    calls::dispatch(&app, &module, &signed.connection, "a.b", "1", "REJECT").await;
    receiver.wait_for(2).await;
    let app = app.restart().await;
    receiver.answer(|_| Reply::status(200));
    app.clock.advance(TimeDelta::seconds(6));
    let sent = receiver.wait_for(3).await;
    assert_eq!(sent[1].header("webhook-id"), sent[2].header("webhook-id"));
    assert!(signed.verifies(&sent[2]));
    app.stop().await;
}

async fn settings_are_tested_before_they_are_stored(database: Database) {
    let (receiver, other) = (Vendor::plain().await, Vendor::plain().await);
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let configure = "mutation($input: ConfigureConnectionInput!) { configureConnection(input: $input) { connection { destinationLabel orderedDelivery } test { outcome } } }";
    let to = |vendor: &Vendor, ordered: bool| json!({"input": {"connectionId": signed.connection, "values": [{"name": "url", "value": format!("http://{}/hooks", vendor.address)}], "orderedDelivery": ordered}});
    other.answer(|_| Reply::status(500));
    let failed = app.graphql(&admin, configure, to(&other, true)).await["data"]["configureConnection"].clone();
    assert_eq!(
        failed,
        json!({"connection": {"destinationLabel": "POST /events", "orderedDelivery": false}, "test": {"outcome": "VENDOR_ERROR"}})
    );
    other.answer(|_| Reply::status(200));
    let moved = app.graphql(&admin, configure, to(&other, true)).await["data"]["configureConnection"].clone();
    assert_eq!(
        moved,
        json!({"connection": {"destinationLabel": "POST /hooks", "orderedDelivery": true}, "test": {"outcome": "CONNECTED"}})
    );
    calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    let sent = other.wait_for(3).await;
    assert!(signed.verifies(&sent[2]), "the secret stays");
    let renamed = app.graphql(&admin, "mutation($id: ID!) { renameConnection(input: {connectionId: $id, displayName: \" Shop \"}) { connection { displayName } } }", json!({"id": signed.connection})).await;
    assert_eq!(renamed["data"]["renameConnection"]["connection"]["displayName"], "Shop");
    app.stop().await;
}

async fn a_verb_ends_whatever_becomes_of_the_request(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let signed: Signed = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    calls::act(&app, &admin, "pauseConnection", &signed.connection, "connection { state }").await;
    let mut states = app.subscribe(&admin, "subscription { connectionStateChanged { state } }").await;
    // The receiver answers only once a further request has come: long after the client has gone.
    receiver.answer(|_| Reply { hold_until: 3, ..Reply::status(200) });
    let request = app.post(
        &admin,
        "mutation($id: ID!) { resumeConnection(input: {connectionId: $id}) { test { outcome } } }",
        &json!({"id": signed.connection}),
    );
    let call = tokio::spawn(request.send());
    receiver.wait_for(2).await;
    call.abort();
    let _ = call.await;
    crate::support::http::client().post(format!("http://{}/", receiver.address)).send().await.expect("an answer");
    assert_eq!(states.next().await["connectionStateChanged"]["state"], "ACTIVE");
    app.stop().await;
}

async fn an_offer_is_good_for_an_hour_and_for_its_operator(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let begin = "mutation($url: Secret!) { beginSignedConnection(input: {connectorSlug: \"webhook_generic\", fields: [{name: \"url\", value: $url}]}) { id } }";
    let complete = "mutation($id: ID!) { completeSignedConnection(input: {offerId: $id}) { __typename } }";
    let url = format!("http://{}/", receiver.address);
    let offer = app.graphql(&admin, begin, json!({ "url": url })).await["data"]["beginSignedConnection"]["id"].clone();
    let stranger = app.graphql(&app.operator_token(2, "Administrator"), complete, json!({ "id": offer })).await;
    assert_eq!(stranger["errors"][0]["extensions"]["code"], "NOT_FOUND", "{stranger}");
    receiver.answer(|_| Reply::status(500));
    let failed = app.graphql(&admin, complete, json!({ "id": offer })).await;
    assert_eq!(failed["data"]["completeSignedConnection"]["__typename"], "ConnectionRejected", "{failed}");
    receiver.answer(|_| Reply::status(200));
    let created = app.graphql(&admin, complete, json!({ "id": offer })).await;
    assert_eq!(created["data"]["completeSignedConnection"]["__typename"], "ConnectionCreated", "{created}");
    let twice = app.graphql(&admin, complete, json!({ "id": offer })).await;
    assert_eq!(twice["errors"][0]["extensions"]["code"], "NOT_FOUND", "{twice}");

    let late = app.graphql(&admin, begin, json!({ "url": url })).await["data"]["beginSignedConnection"]["id"].clone();
    assert_eq!(app.count_rows("offers").await, 1);
    app.clock.advance(TimeDelta::minutes(61));
    let expired = app.graphql(&admin, complete, json!({ "id": late })).await;
    assert_eq!(expired["errors"][0]["extensions"]["code"], "NOT_FOUND", "{expired}");
    // A start removes what has expired meanwhile.
    let app = app.restart().await;
    let app = app.restart().await;
    assert_eq!(app.count_rows("offers").await, 0);
    app.stop().await;
}
