//! A site's keys in each other's place, under load and in several processes; and master keys.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use integrations_gateway::domain::clock::Clock as _;
use serde_json::{Value, json};

use crate::{
    oauth::connected,
    support::{
        app::{Database, MASTER_KEYS, TestApp, on_both},
        calls::{self, act, dispatch},
        grants::Granting,
        vendor::Vendor,
    },
};

on_both!(
    what_an_old_key_seals_is_sealed_anew_and_the_key_goes,
    keys_change_while_everything_goes_on,
    another_process_takes_a_new_key_up,
    what_does_not_open_keeps_its_key,
    a_process_that_cannot_read_the_keys_seals_no_more,
    a_master_key_gives_way_to_another,
    a_wrong_master_key_stops_the_start,
);

const KEY: &str = "version createdAt recordsToReseal";

async fn rotate(app: &TestApp, token: &str) -> Value {
    let query = format!("mutation {{ rotateSiteKey {{ siteKey {{ {KEY} }} }} }}");
    app.graphql(token, &query, json!({})).await
}

async fn key(app: &TestApp, token: &str) -> Value {
    let answer = app.graphql(token, &format!("{{ settings {{ siteKey {{ {KEY} }} }} }}"), json!({})).await;
    answer["data"]["settings"]["siteKey"].clone()
}

/// Waits until a table has so many rows, while the workers have their turns: time goes by, since a round that is under
/// way when the clock moves begins its pause after that.
async fn until(app: &TestApp, table: &str, count: i64) {
    let reached = async {
        while app.count_rows(table).await != count {
            app.clock.advance(TimeDelta::milliseconds(50));
            tokio::task::yield_now().await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(within.is_ok(), "{count} of {table} were expected, there are {}", app.count_rows(table).await);
}

async fn what_an_old_key_seals_is_sealed_anew_and_the_key_goes(database: Database) {
    let receiver = Vendor::plain().await;
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let (admin, forms) = (app.token("Administrator"), app.module_token("forms"));
    let hook = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    let grant = connected(&app, &granting, &admin, "acme").await;
    act(&app, &admin, "pauseConnection", &hook.connection, "connection { state }").await;
    for n in 0..250 {
        dispatch(&app, &forms, &hook.connection, "a.b", &n.to_string(), "HOLD").await;
    }
    let begin = "mutation($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id } }";
    let url = format!("http://{}/second", receiver.address);
    let input = json!({"connectorSlug": "webhook_generic", "fields": [{"name": "url", "value": url}]});
    let offer = app.graphql(&admin, begin, json!({ "input": input })).await;
    let pending = crate::oauth::begin(&app, &admin, json!({"connectorSlug": "granting"})).await;
    assert_eq!(key(&app, &admin).await["recordsToReseal"], 0);

    app.clock.advance(TimeDelta::seconds(1));
    let rotated = rotate(&app, &admin).await;
    let now = &rotated["data"]["rotateSiteKey"]["siteKey"];
    // Fields and secret, fields and grant, an offer, an authorization, and the payloads.
    let expected = json!({"version": 2, "createdAt": "2030-01-15T12:00:01.000Z", "recordsToReseal": 256});
    assert_eq!(*now, expected, "{rotated}");
    app.clock.advance(TimeDelta::seconds(10));
    let old = "WHERE key_version < 2 AND length(sealed) > 0";
    for table in ["credentials", "offers", "authorizations"] {
        until(&app, &format!("{table} {old}"), 0).await;
    }
    // A process that is stopped in between leaves the rest to the next one.
    let app = app.restart_without_worker().await;
    app.clock.advance(TimeDelta::seconds(61));
    assert_eq!(key(&app, &admin).await["recordsToReseal"], 250);
    let app = app.restart().await;
    until(&app, "site_keys WHERE payloads_done_to IS NULL", 1).await;
    assert_eq!(key(&app, &admin).await["recordsToReseal"], 0);
    assert_eq!(app.count_rows("site_keys").await, 2, "the old key stays for calls that are under way");
    app.clock.advance(TimeDelta::hours(1));
    until_keys_are_gone(&app).await;

    // Everything opens with the new key alone.
    let app = app.restart().await;
    let admin = app.token("Administrator");
    act(&app, &admin, "resumeConnection", &hook.connection, "connection { state }").await;
    let got = receiver.wait_for(252).await;
    assert!(hook.verifies(&got[251]) && got[251].body.contains("\"n\""), "{}", got[251].body);
    let tested = act(&app, &admin, "testConnection", &grant, "test { outcome }").await;
    assert_eq!(tested["test"]["outcome"], "CONNECTED");
    // Both have run out by now; what they hold opened all the same until then.
    assert!(offer["data"]["beginSignedConnection"]["id"].is_string() && pending["id"].is_string());

    let log = "{ activityLog(filter: {actions: [SITE_KEY_ROTATED]}) { nodes { outcome detail operator { id } } } }";
    let log = app.graphql(&admin, log, json!({})).await;
    let entry = json!({"outcome": "SUCCEEDED", "detail": "version 2 seals from now on", "operator": {"id": 1}});
    assert_eq!(log["data"]["activityLog"]["nodes"], json!([entry]), "{log}");
    let refused = rotate(&app, &app.token("Editor")).await;
    assert_eq!(refused["errors"][0]["extensions"]["capability"], "MANAGE_SETTINGS", "{refused}");
    app.stop().await;
}

async fn keys_change_while_everything_goes_on(database: Database) {
    let receiver = Vendor::plain().await;
    let app = Arc::new(TestApp::on(database).await);
    let (admin, forms) = (app.token("Administrator"), app.module_token("forms"));
    let hook = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load: Vec<_> = (0..4)
        .map(|who| {
            let (app, admin, forms) = (Arc::clone(&app), admin.clone(), forms.clone());
            let (stop, sent, id) = (Arc::clone(&stop), Arc::clone(&sent), hook.connection.clone());
            tokio::spawn(async move {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    match who {
                        0 | 1 => {
                            let taken = dispatch(&app, &forms, &id, "a.b", &format!("{who}-{n}"), "REJECT").await;
                            assert_eq!(taken["__typename"], "DispatchAccepted", "{taken}");
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                        2 => drop(act(&app, &admin, "testConnection", &id, "test { outcome }").await),
                        _ => {
                            // It names the sealed fields that it replaces: a seal that is another is no change.
                            let query = "mutation($input: ConfigureConnectionInput!) { configureConnection(input: $input) { test { outcome } } }";
                            let input = json!({"connectionId": id, "orderedDelivery": n % 2 == 0, "values": []});
                            let answer = app.graphql(&admin, query, json!({ "input": input })).await;
                            assert_eq!(answer["data"]["configureConnection"]["test"]["outcome"], "CONNECTED", "{answer}");
                        }
                    }
                }
            })
        })
        .collect();
    for version in 2..=4 {
        let rotated = rotate(&app, &admin).await;
        assert_eq!(rotated["data"]["rotateSiteKey"]["siteKey"]["version"], version, "{rotated}");
        for _ in 0..8 {
            app.clock.advance(TimeDelta::seconds(11));
            tokio::task::yield_now().await;
        }
        let old = format!("credentials WHERE key_version < {version}");
        until(&app, &old, 0).await;
        until(&app, &format!("site_keys WHERE version = {version} AND payloads_done_to IS NULL"), 1).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.expect("no call failed");
    }
    app.clock.advance(TimeDelta::hours(2));
    until_keys_are_gone(&app).await;
    assert_eq!(key(&app, &admin).await["recordsToReseal"], 0);
    until(&app, "deliveries WHERE status = 'queued'", 0).await;
    let sent = i64::from(sent.load(Ordering::Relaxed));
    assert!(sent > 10, "{sent}");
    assert_eq!(app.count_rows("deliveries WHERE status = 'delivered'").await, sent);
    Arc::into_inner(app).expect("nobody else has it").stop().await;
}

async fn another_process_takes_a_new_key_up(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let other = app.beside().await;
    let (admin, forms) = (app.token("Administrator"), app.module_token("forms"));
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    // It has read the keys.
    act(&other, &admin, "testConnection", &id, "test { outcome }").await;
    rotate(&app, &admin).await;
    // This event's payload is sealed with the new key here, and the other's with the old one there.
    dispatch(&app, &forms, &id, "a.b", "1", "REJECT").await;
    dispatch(&other, &forms, &id, "a.b", "2", "REJECT").await;
    // What the other one has stored is noticed within a second.
    app.clock.advance(TimeDelta::seconds(2));
    receiver.wait_for_path("/", 3).await;
    app.clock.advance(TimeDelta::seconds(7));
    until(&app, "credentials WHERE key_version < 2", 2).await;
    app.clock.advance(TimeDelta::seconds(1));
    until(&app, "credentials WHERE key_version < 2", 0).await;
    // What was sealed anew opens there too.
    let tested = act(&other, &admin, "testConnection", &id, "test { outcome }").await;
    assert_eq!(tested["test"]["outcome"], "CONNECTED");
    let taken = dispatch(&other, &forms, &id, "a.b", "3", "REJECT").await;
    assert_eq!(taken["__typename"], "DispatchAccepted", "{taken}");
    other.stop().await;
    app.stop().await;
}

async fn what_does_not_open_keeps_its_key(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    calls::connect_webhook(&app, &admin, &receiver, "/second").await;
    // One blob stands at another's place.
    app.execute(
        "UPDATE credentials SET sealed = (SELECT c.sealed FROM credentials AS c WHERE c.name = 'signing' \
         ORDER BY c.connection_id LIMIT 1) WHERE name = 'fields' AND connection_id = (SELECT min(id) FROM connections)",
    )
    .await;
    rotate(&app, &admin).await;
    app.clock.advance(TimeDelta::seconds(10));
    until(&app, "credentials WHERE key_version < 2", 1).await;
    app.clock.advance(TimeDelta::hours(2));
    until(&app, "site_keys WHERE payloads_done_to = 0 AND version = 2", 1).await;
    assert_eq!(key(&app, &admin).await["recordsToReseal"], 1);
    // Counting takes a while: it is done once, however often one operation asks.
    app.clock.advance(TimeDelta::seconds(2));
    let before = app.query_count();
    let aliases: Vec<String> = (0..100).map(|n| format!("a{n}: siteKey {{ recordsToReseal }}")).collect();
    let many = app.graphql(&admin, &format!("{{ settings {{ {} }} }}", aliases.join(" ")), json!({})).await;
    assert_eq!(many["data"]["settings"]["a99"]["recordsToReseal"], 1, "{many}");
    let statements = app.query_count() - before;
    // A reading of the keys for each, and what the workers run meanwhile: a count for each would be as many again.
    assert!(statements < 190, "{statements}");
    assert_eq!(app.count_rows("site_keys").await, 2);
    for version in 3..=5 {
        assert_eq!(rotate(&app, &admin).await["data"]["rotateSiteKey"]["siteKey"]["version"], version);
    }
    let refused = rotate(&app, &admin).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "CONFLICT", "{refused}");
    // It goes with its connection, and its key after it.
    calls::disconnect(&app, &admin, &id).await;
    until_keys_are_gone(&app).await;
    app.stop().await;
}

/// Lets time go by until older keys are gone, also where a round of the worker is under way while the clock moves.
async fn until_keys_are_gone(app: &TestApp) {
    let begun = app.clock.now();
    while app.count_rows("site_keys").await > 1 {
        app.clock.advance(TimeDelta::seconds(11));
        tokio::task::yield_now().await;
        assert!(app.clock.now() < begun + TimeDelta::hours(48), "the old keys stay");
    }
}

const SECOND: &str = "next:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// What it sealed could be lost: the key that it knows goes once another one seals.
async fn a_process_that_cannot_read_the_keys_seals_no_more(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let app = app.restart_without_worker().await;
    let (admin, forms) = (app.token("Administrator"), app.module_token("forms"));
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    let tested = async || act(&app, &admin, "testConnection", &id, "test { outcome }").await["test"]["outcome"].clone();
    assert_eq!(tested().await, "CONNECTED");
    // Another process wraps the keys by a master key that this one has never heard of.
    let other = app.beside_with_keys(&format!("{SECOND},{MASTER_KEYS}")).await;
    for minutes in [1, 8] {
        app.clock.advance(TimeDelta::minutes(minutes));
        let taken = dispatch(&app, &forms, &id, "a.b", &minutes.to_string(), "REJECT").await;
        assert_eq!(taken["__typename"], "DispatchAccepted", "{taken}");
    }
    rotate(&other, &admin).await;
    app.clock.advance(TimeDelta::minutes(2));
    let input = json!({"connectionId": id, "eventType": "a.b", "eventIdentifier": "late", "payload": {}});
    let refused = app.graphql(&forms, calls::DISPATCH, json!({ "input": input })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "INTERNAL", "{refused}");
    // What the other one has taken is well, and stays so once the old key is gone.
    until(&app, "site_keys WHERE payloads_done_to IS NULL", 1).await;
    app.clock.advance(TimeDelta::hours(2));
    until_keys_are_gone(&app).await;
    let tested = act(&other, &admin, "testConnection", &id, "test { outcome }").await;
    assert_eq!(tested["test"]["outcome"], "CONNECTED");
    until(&app, "deliveries WHERE status = 'delivered'", 2).await;
    other.stop().await;
    app.stop().await;
}

async fn a_master_key_gives_way_to_another(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    let other = app.site_token(2, "Administrator");
    app.graphql(&other, "{ viewer { role } }", json!({})).await;
    rotate(&app, &admin).await;
    // Known, but not used yet.
    let app = app.restart_with_keys(&format!("{MASTER_KEYS},{SECOND}")).await;
    assert_eq!(app.count_rows("site_keys WHERE master_key_id = 'test'").await, 3);
    let app = app.restart_with_keys(&format!("{SECOND},{MASTER_KEYS}")).await;
    assert_eq!(app.count_rows("site_keys WHERE master_key_id = 'next'").await, 3);
    let app = app.restart_with_keys(SECOND).await;
    let tested = act(&app, &app.token("Administrator"), "testConnection", &id, "test { outcome }").await;
    assert_eq!(tested["test"]["outcome"], "CONNECTED");
    app.stop().await;
}

async fn a_wrong_master_key_stops_the_start(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    let (_, other) = SECOND.split_once(':').expect("an id and a key");
    for (keys, says) in [
        (SECOND.to_owned(), "the database needs the key \"test\""),
        (format!("test:{other}"), "the key \"test\" is not the one that the keys of site 1 were wrapped by"),
        (format!("{SECOND},test:{other}"), "the key \"test\" is not the one"),
    ] {
        let refused = app.refused_with_keys(&keys).await;
        assert!(refused.contains("GATEWAY_MASTER_KEYS") && refused.contains(says), "{refused}");
        assert!(!refused.contains(other), "a key is shown");
    }
    assert_eq!(app.count_rows("site_keys WHERE master_key_id = 'test'").await, 1);
    let app = app.restart().await;
    let tested = act(&app, &app.token("Administrator"), "testConnection", &id, "test { outcome }").await;
    assert_eq!(tested["test"]["outcome"], "CONNECTED");
    app.stop().await;
}
