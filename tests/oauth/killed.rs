//! A process that is killed in the middle of a verb: after a restart the connection is in a state that can be told, no
//! refresh token is used twice, and the vendor holds no grant that the gateway has forgotten without a word.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Browser, Reached as _};
use crate::support::{
    app::{Database, on_both},
    grants::{Granting, Stuck},
    keys::{FIRST, SECOND, accepting, last_key},
    leaks,
    process::{Process, Site},
    vendor::{Recorded, Reply, Vendor},
};

on_both!(
    connecting,
    authorizing_again,
    giving_the_grant_before_back,
    renewing_by_hand,
    renewing_ahead,
    what_follows_a_renewal,
    rotating_a_key,
    disconnecting,
);

/// How long a test waits for what must come, in real time. Long, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
const ALL: &str =
    "{ connections { nodes { id state stateReason scopesGranted } } activityLog { nodes { action outcome detail } } }";
const AGAIN: [(&str, &str); 2] = [
    (
        "reauthorizeConnection",
        "mutation($id: ID!) { reauthorizeConnection(input: {connectionId: $id}) { authorization { id authorizationUrl } } }",
    ),
    (
        "editConnectionScopes",
        "mutation($id: ID!) { editConnectionScopes(input: {connectionId: $id, scopes: [\"contacts\", \"orders\"]}) { authorization { id authorizationUrl } } }",
    ),
];
const BEGIN: &str =
    "mutation { beginOAuthConnection(input: {connectorSlug: \"granting\"}) { authorization { id authorizationUrl } } }";
const REFRESH: &str = "mutation($id: ID!) { refreshCredentials(input: {connectionId: $id}) { test { outcome } } }";
const TEST: &str = "mutation($id: ID!) { testConnection(input: {connectionId: $id}) { test { outcome } } }";
const DISCONNECT: &str = "mutation($id: ID!) { disconnectConnection(input: {connectionId: $id}) { disconnected } }";

/// A request that is never answered: the vendor has heard it, or has not.
const fn answered_never(path: &'static str) -> Stuck {
    Stuck { path, after: 0, heard: true }
}

const fn heard_never(path: &'static str) -> Stuck {
    Stuck { path, after: 0, heard: false }
}

/// A vendor, a gateway's process, and what the process has said to callers.
struct Story {
    granting: Granting,
    site: Site,
    process: Process,
    answers: String,
}

impl Story {
    async fn begin(database: Database) -> Self {
        let granting = Granting::start().await;
        let site = Site::new(database, &granting.vendor).await;
        let process = site.start().await;
        Self { granting, site, process, answers: String::new() }
    }

    async fn ask(&mut self, query: &str, variables: Value) -> Value {
        let answer = self.process.graphql(query, variables).await;
        self.answers += &answer.to_string();
        answer
    }

    /// The callback's query, once an operator has consented to what this mutation has begun.
    async fn consent(&mut self, mutation: &str, id: Option<&str>) -> (Browser, String) {
        let begun = self.ask(mutation, json!({ "id": id })).await;
        let authorization = &begun.as_object().expect("data").values().next().expect("a field")["authorization"];
        let mut browser = Browser::new();
        let link = authorization["authorizationUrl"].as_str().expect("a link");
        let address = browser.begin(&self.process, link).await;
        (browser, self.granting.consent(&address, "acme"))
    }

    async fn authorize(&mut self, mutation: &str, id: Option<&str>) {
        let (mut browser, query) = self.consent(mutation, id).await;
        let page = browser.come_back(&self.process, &query).await;
        assert_eq!(page.status, 200, "{}", page.text);
    }

    /// A connection of the account acme.
    async fn connected(&mut self) -> String {
        self.authorize(BEGIN, None).await;
        self.only().await["id"].as_str().expect("an id").to_owned()
    }

    async fn only(&mut self) -> Value {
        let all = self.ask(ALL, json!({})).await;
        let nodes = all["connections"]["nodes"].as_array().expect("nodes");
        let [only] = &nodes[..] else { panic!("one connection: {all}") };
        only.clone()
    }

    /// Sends a browser back in a task of its own.
    fn come_back(&self, browser: Browser, query: String) -> JoinHandle<Option<Value>> {
        let (client, url) = (self.process.browser().clone(), self.process.url().to_owned());
        tokio::spawn(async move {
            browser.try_come_back(&client, &url, &query).await;
            None
        })
    }

    /// Kills the process where the vendor does not answer, lets minutes go by, and starts another one.
    async fn killed(
        &mut self,
        stuck: Stuck,
        minutes: i64,
        act: impl AsyncFnOnce(&mut Self) -> JoinHandle<Option<Value>>,
    ) {
        let (path, after) = (stuck.path, stuck.after);
        let mut seen = self.granting.vendor.requests().len();
        self.granting.book().stuck = Some(stuck);
        let acting = act(self).await;
        for _ in 0..=after {
            seen = self.granting.vendor.wait_for_path(path, seen).await;
        }
        self.restart(minutes).await;
        let answer = acting.await.expect("a task");
        assert_eq!(answer, None, "the process was killed before it could answer");
    }

    /// As [`Self::restart`], as what somebody does who gets no answer.
    async fn restarted(&mut self, minutes: i64) -> JoinHandle<Option<Value>> {
        self.restart(minutes).await;
        tokio::spawn(async { None })
    }

    async fn restart(&mut self, minutes: i64) {
        self.process.end();
        self.site.pass(minutes).await;
        self.process = self.site.start().await;
    }

    /// Waits until the gateway shows this.
    async fn until(&mut self, what: &str, shown: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let seen = async {
            loop {
                last = self.process.graphql(ALL, json!({})).await;
                if shown(&last) {
                    return;
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, seen).await;
        assert!(in_time.is_ok(), "{what} did not come: {last}");
        self.answers += &last.to_string();
        last
    }

    /// Waits for an entry of the activity log with these words in its detail.
    async fn logged(&mut self, action: &str, outcome: &str, words: &str) -> Value {
        let wanted = |all: &Value| {
            let entries = all["activityLog"]["nodes"].as_array().expect("nodes");
            entries.iter().any(|entry| {
                let detail = entry["detail"].as_str().unwrap_or_default();
                entry["action"] == action && entry["outcome"] == outcome && detail.contains(words)
            })
        };
        self.until(&format!("{action} {outcome}"), wanted).await
    }

    async fn test(&mut self, id: &str) -> Value {
        self.ask(TEST, json!({ "id": id })).await["testConnection"]["test"]["outcome"].clone()
    }

    /// Nothing was used twice, and no secret is where none may be.
    async fn ends(self, live: usize) {
        {
            let book = self.granting.book();
            assert_eq!((book.reused, book.live()), (0, live), "used twice, and grants at the vendor");
        }
        self.process.end();
        leaks::assert_none("the answers", self.answers.as_bytes());
        leaks::assert_none_left(&self.site).await;
    }
}

async fn connecting(database: Database) {
    for (stuck, left) in [(heard_never("/token"), 0), (answered_never("/token"), 1), (answered_never("/me"), 1)] {
        let mut story = Story::begin(database).await;
        let (browser, query) = story.consent(BEGIN, None).await;
        story.killed(stuck, 6, async |story| story.come_back(browser, query)).await;
        let all = story.logged("CONNECTION_CREATED", "REJECTED", "remove what the vendor shows besides").await;
        assert_eq!(all["connections"]["nodes"], json!([]));
        // The code is good for nothing any more, and another authorization is.
        story.connected().await;
        assert_eq!(story.granting.book().exchanges, if left == 0 { 1 } else { 2 });
        story.ends(left + 1).await;
    }
}

async fn authorizing_again(database: Database) {
    for (verb, mutation) in AGAIN {
        for (stuck, left) in [(heard_never("/token"), 1), (answered_never("/token"), 2), (answered_never("/me"), 2)] {
            let mut story = Story::begin(database).await;
            let id = story.connected().await;
            let (browser, query) = story.consent(mutation, Some(&id)).await;
            story.killed(stuck, 6, async |story| story.come_back(browser, query)).await;
            let action = if verb == "reauthorizeConnection" { "CONNECTION_REAUTHORIZED" } else { "SCOPES_EDITED" };
            story.logged(action, "REJECTED", "remove what the vendor shows besides").await;
            // The grant before serves on.
            assert_eq!(story.only().await["state"], "ACTIVE");
            assert_eq!(story.test(&id).await, "CONNECTED");
            story.ends(left).await;
        }
    }
}

async fn giving_the_grant_before_back(database: Database) {
    for (verb, mutation) in AGAIN {
        for stuck in [heard_never("/revoke"), answered_never("/revoke")] {
            let mut story = Story::begin(database).await;
            let id = story.connected().await;
            // One that cannot be opened must not keep those behind it.
            let spoiled = if story.site.sqlite_file().is_some() { "x'01'" } else { "'\\x01'" };
            let spoil = format!("UPDATE authorizations SET sealed = {spoiled} WHERE status = 'succeeded'");
            story.site.execute(&spoil).await;
            let (browser, query) = story.consent(mutation, Some(&id)).await;
            story.killed(stuck, 6, async |story| story.come_back(browser, query)).await;
            // The fresh one serves, and the one before goes back after all.
            let revoked = |request: &&Recorded| request.path == "/revoke";
            let mut seen = story.granting.vendor.requests().len();
            while story.granting.vendor.requests().iter().filter(revoked).count() < 2 {
                seen = story.granting.vendor.wait_for(seen + 1).await.len();
            }
            let only = story.only().await;
            assert_eq!(only["state"], "ACTIVE");
            let scopes =
                if verb == "reauthorizeConnection" { json!(["contacts"]) } else { json!(["contacts", "orders"]) };
            assert_eq!(only["scopesGranted"], scopes);
            assert_eq!(story.test(&id).await, "CONNECTED");
            // What is left to do is written down nowhere any more.
            story.restart(6).await;
            assert_eq!(story.test(&id).await, "CONNECTED");
            story.ends(1).await;
        }
    }
}

async fn renewing_by_hand(database: Database) {
    for stuck in [heard_never("/token"), answered_never("/token")] {
        let mut story = Story::begin(database).await;
        let id = story.connected().await;
        story.killed(stuck, 2, async |story| story.process.begin(REFRESH, &json!({ "id": id }))).await;
        what_was_cut_off_is_looked_after(&mut story, &id).await;
        story.ends(1).await;
    }
}

async fn renewing_ahead(database: Database) {
    for stuck in [heard_never("/token"), answered_never("/token")] {
        let mut story = Story::begin(database).await;
        let id = story.connected().await;
        // The next process finds it due.
        story.killed(stuck, 2, async |story| story.restarted(49).await).await;
        what_was_cut_off_is_looked_after(&mut story, &id).await;
        story.ends(1).await;
    }
}

/// The access record serves until it runs out; the refresh token, which may be used up, is not used again.
async fn what_was_cut_off_is_looked_after(story: &mut Story, id: &str) {
    story.logged("CREDENTIALS_REFRESHED", "FAILED", "a refresh was cut off; the access record still works").await;
    assert_eq!(story.only().await["state"], "ACTIVE");
    assert_eq!(story.test(id).await, "CONNECTED");
    story.granting.book().expire_all();
    story.restart(70).await;
    let expired = |all: &Value| all["connections"]["nodes"][0]["state"] == "AUTH_EXPIRED";
    let all = story.until("AUTH_EXPIRED", expired).await;
    let reason = all["connections"]["nodes"][0]["stateReason"].as_str().expect("words").to_owned();
    assert!(reason.contains("a refresh was cut off; authorize again"), "{reason}");
    let asked = story.granting.vendor.requests();
    let refreshes = asked.iter().filter(|request| request.body.contains("grant_type=refresh_token"));
    assert_eq!(refreshes.count(), 1, "a token that may be used up was used again");
}

/// What a renewal brought is stored before it is tested.
async fn what_follows_a_renewal(database: Database) {
    let mut story = Story::begin(database).await;
    let id = story.connected().await;
    story.killed(answered_never("/me"), 2, async |story| story.process.begin(REFRESH, &json!({ "id": id }))).await;
    assert_eq!(story.test(&id).await, "CONNECTED");
    assert_eq!(story.only().await["state"], "ACTIVE");
    assert_eq!(story.granting.book().refreshes, 1);
    story.ends(1).await;
}

async fn disconnecting(database: Database) {
    let second = Stuck { path: "/me", after: 1, heard: true };
    for stuck in [answered_never("/me"), heard_never("/revoke"), answered_never("/revoke"), second] {
        let mut story = Story::begin(database).await;
        let id = story.connected().await;
        story.killed(stuck, 2, async |story| story.process.begin(DISCONNECT, &json!({ "id": id }))).await;
        story.until("its end", |all| all["connections"]["nodes"] == json!([])).await;
        story.logged("CONNECTION_DISCONNECTED", "SUCCEEDED", "").await;
        story.ends(0).await;
    }
}

/// The old key serves until the new one has passed.
async fn rotating_a_key(database: Database) {
    const CREATE: &str = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { ... on ConnectionCreated { connection { id } } } }";
    const ROTATE: &str =
        "mutation($input: RotateCredentialsInput!) { rotateCredentials(input: $input) { rotated test { outcome } } }";
    let vendor = Vendor::tls(&["api.brevo.com"]).await;
    let both: &[(&str, &str)] = &[(FIRST, "acme"), (SECOND, "acme")];
    vendor.answer(accepting(both));
    let site = Site::new(database, &vendor).await;
    let process = site.start().await;
    let fields = |key: &str| json!([{"name": "api_key", "value": key}]);
    let input = json!({"connectorSlug": "brevo", "authFlow": "API_KEY", "fields": fields(FIRST)});
    let created = process.graphql(CREATE, json!({ "input": input })).await;
    let id = created["createConnection"]["connection"]["id"].as_str().expect("an id").to_owned();
    vendor.answer(move |request: &Recorded| Reply { hold_until: usize::MAX, ..accepting(both)(request) });
    let before = vendor.requests().len();
    let input = json!({"connectionId": id, "fields": fields(SECOND)});
    let rotating = process.begin(ROTATE, &json!({ "input": input }));
    vendor.wait_for(before + 1).await;
    process.kill();
    assert_eq!(rotating.await.expect("a task"), None);

    vendor.answer(accepting(both));
    let process = site.start().await;
    let tested = process.graphql(TEST, json!({ "id": id })).await;
    assert_eq!(tested["testConnection"]["test"]["outcome"], "CONNECTED");
    assert_eq!(last_key(&vendor), FIRST);
    let rotated = process.graphql(ROTATE, json!({ "input": input })).await;
    assert_eq!(rotated["rotateCredentials"]["rotated"], true);
    process.graphql(TEST, json!({ "id": id })).await;
    assert_eq!(last_key(&vendor), SECOND);
    process.kill();
    leaks::assert_none_left(&site).await;
}
