//! Roles: who may do what, changed by those who may change it, at once.

use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::Vendor,
};

on_both!(
    a_site_makes_changes_and_deletes_roles,
    a_site_keeps_a_role_that_can_change_roles,
    a_role_that_is_gone_leaves_its_holders_with_nothing,
    roles_are_a_sites_own,
);

const SAVE: &str =
    "mutation($input: SaveRoleInput!) { saveRole(input: $input) { role { name builtIn capabilities } } }";
const DELETE: &str = "mutation($name: String!) { deleteRole(input: {name: $name}) { name } }";

async fn save(app: &TestApp, token: &str, name: &str, capabilities: &[&str]) -> Value {
    app.graphql(token, SAVE, json!({"input": {"name": name, "capabilities": capabilities}})).await
}

async fn delete(app: &TestApp, token: &str, name: &str) -> Value {
    app.graphql(token, DELETE, json!({ "name": name })).await
}

async fn names(app: &TestApp, token: &str) -> Vec<String> {
    let answer = app.graphql(token, "{ roles { name builtIn } }", json!({})).await;
    let roles = answer["data"]["roles"].as_array().unwrap_or_else(|| panic!("{answer}"));
    roles.iter().map(|role| role["name"].as_str().expect("a name").to_owned()).collect()
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("no error: {answer}"))
}

async fn a_site_makes_changes_and_deletes_roles(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    assert_eq!(names(&app, &admin).await, ["Administrator", "Editor", "Viewer", "Module"]);
    let made = save(&app, &admin, " Auditor ", &["BROWSE_ACTIVITY_LOG", "BROWSE_ACTIVITY_LOG"]).await;
    assert_eq!(
        made["data"]["saveRole"]["role"],
        json!({"name": "Auditor", "builtIn": false, "capabilities": ["BROWSE_ACTIVITY_LOG"]}),
        "{made}"
    );
    let auditor = app.token("AUDITOR");
    let seen = app.graphql(&auditor, "{ viewer { capabilities } }", json!({})).await;
    assert_eq!(seen["data"]["viewer"]["capabilities"], json!(["BROWSE_ACTIVITY_LOG"]));
    // Another spelling is the same role, and a built-in one is changed and stays built in.
    save(&app, &admin, "auditor", &["LIST_CONNECTIONS"]).await;
    let changed = save(&app, &admin, "viewer", &[]).await;
    assert_eq!(
        changed["data"]["saveRole"]["role"],
        json!({"name": "Viewer", "builtIn": true, "capabilities": []}),
        "{changed}"
    );
    assert_eq!(names(&app, &admin).await, ["Administrator", "Editor", "Viewer", "Module", "auditor"]);
    let seen = app.graphql(&auditor, "{ viewer { capabilities } connections { totalCount } }", json!({})).await;
    assert_eq!(
        seen["data"],
        json!({"viewer": {"capabilities": ["LIST_CONNECTIONS"]}, "connections": {"totalCount": 0}})
    );

    assert_eq!(code(&delete(&app, &admin, "Editor").await), "CONFLICT");
    assert_eq!(code(&delete(&app, &admin, "nobody").await), "NOT_FOUND");
    let gone = delete(&app, &admin, "Auditor").await;
    assert_eq!(gone["data"]["deleteRole"], json!({"name": "Auditor"}), "{gone}");
    assert_eq!(names(&app, &admin).await.len(), 4);
    for name in ["", "a\u{7}", &"x".repeat(65)] {
        let refused = save(&app, &admin, name, &[]).await;
        assert_eq!(refused["errors"][0]["extensions"], json!({"code": "BAD_USER_INPUT", "field": "name"}), "{refused}");
    }
    for (query, variables) in [
        (SAVE, json!({"input": {"name": "Own", "capabilities": ["MANAGE_ROLES"]}})),
        (DELETE, json!({"name": "Own"})),
        ("{ roles { name } }", json!({})),
    ] {
        let refused = app.graphql(&app.token("Editor"), query, variables).await;
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!(*extensions, json!({"code": "FORBIDDEN", "capability": "MANAGE_ROLES"}), "{refused}");
    }

    let log = app
        .graphql(&admin, "{ activityLog { nodes { action outcome detail operator { id } connectionId } } }", json!({}))
        .await;
    let entry = |action: &str, detail: &str| json!({"action": action, "outcome": "SUCCEEDED", "detail": detail, "operator": {"id": 1}, "connectionId": null});
    assert_eq!(
        log["data"]["activityLog"]["nodes"],
        json!([
            entry("ROLE_DELETED", "Auditor"),
            entry("ROLE_SAVED", "viewer may: nothing"),
            entry("ROLE_SAVED", "auditor may: list_connections"),
            entry("ROLE_SAVED", "Auditor may: browse_activity_log"),
        ]),
        "{log}"
    );
    app.stop().await;
}

async fn a_site_keeps_a_role_that_can_change_roles(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    assert_eq!(code(&save(&app, &admin, "administrator", &["LIST_CONNECTIONS"]).await), "CONFLICT");
    // Modules' tokens do not count: no operator could use it.
    save(&app, &admin, "Module", &["MANAGE_ROLES"]).await;
    assert_eq!(code(&save(&app, &admin, "Administrator", &[]).await), "CONFLICT");
    save(&app, &admin, "Keeper", &["MANAGE_ROLES"]).await;
    let admitted = save(&app, &admin, "Administrator", &[]).await;
    assert_eq!(admitted["data"]["saveRole"]["role"]["capabilities"], json!([]), "{admitted}");
    let keeper = app.token("Keeper");
    assert_eq!(code(&delete(&app, &keeper, "Keeper").await), "CONFLICT");
    assert_eq!(code(&save(&app, &keeper, "Keeper", &["LIST_CONNECTIONS"]).await), "CONFLICT");

    // Two that take it from each other at once: one of them stays.
    save(&app, &keeper, "Other", &["MANAGE_ROLES"]).await;
    let other = app.token("Other");
    let (one, two) = tokio::join!(delete(&app, &keeper, "Other"), delete(&app, &other, "Keeper"));
    let done = [&one, &two].into_iter().filter(|answer| answer["data"]["deleteRole"].is_object()).count();
    assert_eq!(done, 1, "{one} {two}");
    app.stop().await;
}

async fn a_role_that_is_gone_leaves_its_holders_with_nothing(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    save(&app, &admin, "Watcher", &["LIST_CONNECTIONS", "BROWSE_LIBRARY"]).await;
    let watcher = app.token("Watcher");
    let mut followed = app.subscribe(&watcher, "subscription { connectionStateChanged { change } }").await;
    calls::connect_webhook(&app, &admin, &receiver, "/").await;
    assert_eq!(followed.next().await["connectionStateChanged"]["change"], "CREATED");
    // A change that leaves it what it needs does not end it.
    save(&app, &admin, "Watcher", &["LIST_CONNECTIONS"]).await;
    calls::connect_webhook(&app, &admin, &receiver, "/second").await;
    assert_eq!(followed.next().await["connectionStateChanged"]["change"], "CREATED");
    delete(&app, &admin, "Watcher").await;
    // It ends without waiting for an event that it would have told of.
    let last = followed.error().await;
    assert_eq!(last["extensions"], json!({"code": "FORBIDDEN", "capability": "LIST_CONNECTIONS"}), "{last}");
    let left = app.graphql(&watcher, "{ viewer { capabilities } connections { totalCount } }", json!({})).await;
    assert_eq!(left["data"], json!({"viewer": {"capabilities": []}, "connections": null}));
    app.stop().await;
}

async fn roles_are_a_sites_own(database: Database) {
    let app = TestApp::on(database).await;
    let (ours, theirs) = (app.token("Administrator"), app.site_token(2, "Administrator"));
    save(&app, &ours, "Auditor", &["LIST_CONNECTIONS"]).await;
    assert_eq!(names(&app, &theirs).await.len(), 4);
    assert_eq!(code(&delete(&app, &theirs, "Auditor").await), "NOT_FOUND");
    let seen = app.graphql(&app.site_token(2, "Auditor"), "{ viewer { capabilities } }", json!({})).await;
    assert_eq!(seen["data"]["viewer"]["capabilities"], json!([]));
    app.stop().await;
}

/// Whoever follows at another process loses what it allowed within a second, without an event of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capability_that_is_gone_ends_subscriptions_in_every_process() {
    let app = TestApp::on(Database::Postgres).await;
    let other = app.beside().await;
    let admin = app.token("Administrator");
    save(&app, &admin, "Watcher", &["LIST_CONNECTIONS", "BROWSE_DELIVERY_LOG"]).await;
    let watcher = app.token("Watcher");
    let document = "subscription { deliveryLogged { entry { id } } }";
    let mut here = app.subscribe(&watcher, document).await;
    let mut there = other.subscribe(&watcher, document).await;
    save(&app, &admin, "Watcher", &["LIST_CONNECTIONS"]).await;
    let gone = json!({"code": "FORBIDDEN", "capability": "BROWSE_DELIVERY_LOG"});
    assert_eq!(here.error().await["extensions"], gone);
    app.clock.advance(chrono::TimeDelta::seconds(1));
    assert_eq!(there.error().await["extensions"], gone);
    other.stop().await;
    app.stop().await;
}
