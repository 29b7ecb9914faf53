//! What a site can tune, and that it holds at once.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, act, dispatch},
    vendor::{Reply, Vendor},
};

on_both!(
    a_site_changes_what_it_names,
    what_is_out_of_bounds_is_named,
    a_change_holds_for_what_is_queued,
    a_family_that_is_off_takes_nothing_and_holds_what_it_has,
    what_a_family_holds_waits_so_long_and_fails,
    a_family_can_ask_for_more,
);

const FIELDS: &str = "deliveryLogRetentionDays retryScheduleSeconds deliveryTimeoutMs holdLimitHours \
     errorPattern { failedAttempts minutes } familyOverrides { family extraCapabilities enabled }";

async fn settings(app: &TestApp, token: &str) -> Value {
    app.graphql(token, &format!("{{ settings {{ {FIELDS} }} }}"), json!({})).await
}

async fn update(app: &TestApp, token: &str, input: Value) -> Value {
    let query = format!(
        "mutation($input: UpdateSettingsInput!) {{ updateSettings(input: $input) {{ settings {{ {FIELDS} }} }} }}"
    );
    app.graphql(token, &query, json!({ "input": input })).await
}

async fn switch(app: &TestApp, token: &str, family: &str, enabled: bool) {
    let own = json!([{"family": family, "extraCapabilities": [], "enabled": enabled}]);
    let answer = update(app, token, json!({ "familyOverrides": own })).await;
    assert_eq!(answer["data"]["updateSettings"]["settings"]["familyOverrides"], own, "{answer}");
}

async fn a_site_changes_what_it_names(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let defaults = json!({
        "deliveryLogRetentionDays": 90,
        "retryScheduleSeconds": [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000],
        "deliveryTimeoutMs": 15_000,
        "holdLimitHours": 168,
        "errorPattern": {"failedAttempts": 20, "minutes": 10},
        "familyOverrides": [],
    });
    assert_eq!(settings(&app, &admin).await["data"]["settings"], defaults);
    let changed = update(&app, &admin, json!({"holdLimitHours": 24, "retryScheduleSeconds": [1, 2]})).await;
    let mut expected = defaults.clone();
    expected["holdLimitHours"] = json!(24);
    expected["retryScheduleSeconds"] = json!([1, 2]);
    assert_eq!(changed["data"]["updateSettings"]["settings"], expected, "{changed}");
    // What is said again, or left out, changes nothing and leaves no row.
    for same in [json!({"holdLimitHours": 24, "deliveryTimeoutMs": null}), json!({})] {
        assert_eq!(update(&app, &admin, same).await["data"]["updateSettings"]["settings"], expected);
    }
    let families = json!([
        {"family": "CRM", "extraCapabilities": ["MANAGE_ROLES"], "enabled": true},
        {"family": "GOOGLE", "extraCapabilities": [], "enabled": false},
    ]);
    let given = json!([families[0], families[1]]);
    let pattern = json!({"failedAttempts": 3, "minutes": 0});
    let changed = update(&app, &admin, json!({"familyOverrides": given, "errorPattern": pattern})).await;
    let now = &changed["data"]["updateSettings"]["settings"];
    // In the order of families.
    assert_eq!(now["familyOverrides"], json!([families[1], families[0]]), "{changed}");
    assert_eq!(now["errorPattern"], pattern);
    assert_eq!(settings(&app, &admin).await["data"]["settings"], *now);

    let log =
        app.graphql(&admin, "{ activityLog { nodes { action outcome detail operator { id } } } }", json!({})).await;
    let entry = |detail: &str| json!({"action": "SETTINGS_CHANGED", "outcome": "SUCCEEDED", "detail": detail, "operator": {"id": 1}});
    assert_eq!(
        log["data"]["activityLog"]["nodes"],
        json!([
            entry(
                "errorPattern: 3 attempts in 0 minutes (was 20 attempts in 10 minutes); \
                 familyOverrides: google off and crm needs manage_roles (was none)"
            ),
            entry(
                "retryScheduleSeconds: [1, 2] (was [5, 300, 1800, 7200, 18000, 36000, 36000]); \
                 holdLimitHours: 24 (was 168)"
            ),
        ]),
        "{log}"
    );
    // Another site has its own.
    assert_eq!(settings(&app, &app.site_token(2, "Administrator")).await["data"]["settings"], defaults);
    for refused in [settings(&app, &app.token("Editor")).await, update(&app, &app.token("Editor"), json!({})).await] {
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!(*extensions, json!({"code": "FORBIDDEN", "capability": "MANAGE_SETTINGS"}), "{refused}");
    }
    app.stop().await;
}

async fn what_is_out_of_bounds_is_named(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let own = |family: &str| json!({"family": family, "extraCapabilities": [], "enabled": true});
    for (input, field, says) in [
        (json!({"deliveryLogRetentionDays": 0}), "deliveryLogRetentionDays", "from 1 to 3650"),
        (json!({"deliveryTimeoutMs": 30_001}), "deliveryTimeoutMs", "from 1000 to 30000"),
        (json!({"holdLimitHours": -1}), "holdLimitHours", "is -1; it must be from 1 to 8760"),
        (json!({"retryScheduleSeconds": [5, 0]}), "retryScheduleSeconds.1", "from 1 to 604800"),
        (json!({"retryScheduleSeconds": vec![5; 21]}), "retryScheduleSeconds", "at most 20"),
        (json!({"errorPattern": {"failedAttempts": 0, "minutes": 1}}), "errorPattern.failedAttempts", "from 1 to 1000"),
        (json!({"errorPattern": {"failedAttempts": 1, "minutes": 1_441}}), "errorPattern.minutes", "from 0 to 1440"),
        (json!({"familyOverrides": [own("CRM"), own("EMAIL"), own("CRM")]}), "familyOverrides.2.family", "twice"),
    ] {
        // One that is good beside it is not taken either.
        let mut input = input;
        input.as_object_mut().expect("an object").entry("holdLimitHours").or_insert(json!(5));
        let refused = update(&app, &admin, input).await;
        let error = &refused["errors"][0];
        assert_eq!(error["extensions"], json!({"code": "BAD_USER_INPUT", "field": field}), "{refused}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(says)), "{refused}");
    }
    assert_eq!(settings(&app, &admin).await["data"]["settings"]["holdLimitHours"], 168);
    app.stop().await;
}

async fn a_change_holds_for_what_is_queued(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, forms) = (app.token("Administrator"), app.module_token("forms"));
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    receiver.answer(|_| Reply::status(500));
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome attempt } } }").await;
    dispatch(&app, &forms, &id, "a.b", "1", "REJECT").await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"], json!({"outcome": "RETRIED", "attempt": 1}));
    update(&app, &admin, json!({"retryScheduleSeconds": [5]})).await;
    app.clock.advance(TimeDelta::seconds(6));
    assert_eq!(logged.next().await["deliveryLogged"]["entry"], json!({"outcome": "FAILED", "attempt": 2}));
    // With no waiting time at all, nothing is tried twice.
    update(&app, &admin, json!({"retryScheduleSeconds": []})).await;
    dispatch(&app, &forms, &id, "a.b", "2", "REJECT").await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"], json!({"outcome": "FAILED", "attempt": 1}));
    app.stop().await;
}

async fn a_family_that_is_off_takes_nothing_and_holds_what_it_has(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, forms) = (app.token("Administrator"), app.module_token("forms"));
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    receiver.answer(|_| Reply::status(400));
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { id outcome } } }").await;
    dispatch(&app, &forms, &id, "a.b", "failed", "REJECT").await;
    let failed = logged.next().await["deliveryLogged"]["entry"]["id"].clone();
    receiver.answer(|_| Reply::status(500));
    let queued = dispatch(&app, &forms, &id, "a.b", "1", "REJECT").await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "RETRIED");
    let calls = receiver.requests().len();
    switch(&app, &admin, "WEBHOOKS", false).await;
    receiver.answer(|_| Reply::status(204));

    for when in ["REJECT", "HOLD"] {
        let refused = dispatch(&app, &forms, &id, "a.b", "2", when).await;
        assert_eq!(refused["reason"], "FAMILY_DISABLED", "{refused}");
        assert!(refused["message"].as_str().is_some_and(|message| message.contains("(webhooks) off")), "{refused}");
    }
    // What came before is answered as ever.
    let before = dispatch(&app, &forms, &id, "a.b", "1", "REJECT").await;
    let held = json!({"id": queued["delivery"]["id"], "status": "HELD", "waitingFor": "CONNECTION"});
    assert_eq!((&before["duplicate"], &before["delivery"]), (&json!(true), &held), "{before}");
    let begin = "mutation($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id } }";
    let input = json!({"connectorSlug": "webhook_generic", "fields": [{"name": "url", "value": "https://a.example/"}]});
    let refused = app.graphql(&admin, begin, json!({ "input": input })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "CONFLICT", "{refused}");
    let retry = "mutation($id: ID!) { retryDelivery(input: {deliveryEntryId: $id}) { ... on RetryRejected { reason message } } }";
    let refused = app.graphql(&admin, retry, json!({ "id": failed })).await;
    assert_eq!(refused["data"]["retryDelivery"]["reason"], "FAMILY_DISABLED", "{refused}");
    // A module's picker does not offer it, and whoever connects sees it before.
    let picker = "{ connections(filter: {states: [ACTIVE], acceptsEventType: \"a.b\"}) { totalCount } connector(slug: \"webhook_generic\") { enabled } }";
    let seen = app.graphql(&forms, picker, json!({})).await["data"].clone();
    assert_eq!(seen, json!({"connections": {"totalCount": 0}, "connector": {"enabled": false}}));
    app.clock.advance(TimeDelta::hours(1));
    // Another site's is not: its events go out, long after the one that is held was due.
    let other = app.site_token(2, "Administrator");
    let theirs = calls::connect_webhook(&app, &other, &receiver, "/theirs").await.connection;
    let event = json!({"connectionId": theirs, "eventType": "a.b", "eventIdentifier": "1", "payload": {}, "originatingModule": "forms"});
    app.graphql(&other, calls::DISPATCH, json!({ "input": event })).await;
    receiver.wait_for_path("/theirs", 1).await;
    assert_eq!(receiver.requests().iter().filter(|request| request.path == "/").count(), calls);

    switch(&app, &admin, "WEBHOOKS", true).await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "DELIVERED");
    let retried = app.graphql(&admin, retry, json!({ "id": failed })).await;
    assert_eq!(retried["data"]["retryDelivery"], json!({}), "{retried}");
    let seen = app.graphql(&forms, picker, json!({})).await["data"].clone();
    assert_eq!(seen, json!({"connections": {"totalCount": 1}, "connector": {"enabled": true}}));
    app.stop().await;
}

async fn what_a_family_holds_waits_so_long_and_fails(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, forms) = (app.token("Administrator"), app.module_token("forms"));
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    receiver.answer(|_| Reply::status(500));
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome failure } } }").await;
    dispatch(&app, &forms, &id, "a.b", "1", "REJECT").await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "RETRIED");
    switch(&app, &admin, "WEBHOOKS", false).await;
    update(&app, &admin, json!({"holdLimitHours": 2})).await;
    app.clock.advance(TimeDelta::hours(2) + TimeDelta::minutes(11));
    let expired = json!({"outcome": "FAILED", "failure": "HOLD_EXPIRED"});
    assert_eq!(logged.next().await["deliveryLogged"]["entry"], expired);
    app.stop().await;
}

async fn a_family_can_ask_for_more(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    app.save_role("Clerk", &["list_connections", "browse_library", "create_connection", "refresh_credentials"]).await;
    let clerk = app.token("Clerk");
    act(&app, &clerk, "configureConnection", &id, "test { outcome }").await;
    let own = |family: &str| json!({"family": family, "extraCapabilities": ["MANAGE_SETTINGS"], "enabled": true});
    update(&app, &admin, json!({"familyOverrides": [own("WEBHOOKS"), own("PAYMENTS")]})).await;
    let asked = "{ webhook: connector(slug: \"webhook_generic\") { extraCapabilities } stripe: connector(slug: \"stripe\") { extraCapabilities } }";
    assert_eq!(
        app.graphql(&clerk, asked, json!({})).await["data"],
        json!({
            "webhook": {"extraCapabilities": ["MANAGE_SETTINGS"]},
            "stripe": {"extraCapabilities": ["MANAGE_PAYMENT_CREDENTIALS", "MANAGE_SETTINGS"]},
        })
    );
    for mutation in ["configureConnection", "rotateCredentials"] {
        let query =
            format!("mutation($id: ID!) {{ {mutation}(input: {{connectionId: $id}}) {{ test {{ outcome }} }} }}");
        let refused = app.graphql(&clerk, &query, json!({ "id": id })).await;
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!(*extensions, json!({"code": "FORBIDDEN", "capability": "MANAGE_SETTINGS"}), "{refused}");
    }
    // A name is no credential.
    let rename = "mutation($id: ID!) { renameConnection(input: {connectionId: $id, displayName: \"B\"}) { connection { displayName } } }";
    let renamed = app.graphql(&clerk, rename, json!({ "id": id })).await;
    assert_eq!(renamed["data"]["renameConnection"]["connection"]["displayName"], "B", "{renamed}");
    app.stop().await;
}
