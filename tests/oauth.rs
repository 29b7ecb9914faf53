//! Connecting by OAuth, and keeping what was granted alive: renewed once, revoked at the end, lost nowhere.

mod connect;
mod crowd;
mod cut_off;
mod killed;
mod late;
mod once;
mod renew;
mod sandbox;

use serde_json::{Value, json};

use crate::support::{app::TestApp, grants::Granting, process::Process};

const BEGIN: &str = "mutation($input: BeginOAuthConnectionInput!) { beginOAuthConnection(input: $input) { authorization { id status purpose authorizationUrl scopesRequested error connection { id } } } }";
const READ: &str = "query($id: ID!) { authorization(id: $id) { id status purpose authorizationUrl error test { outcome } connection { id state displayName vendorAccountId vendorAccountName scopesGranted expiresAt updatedAt } } }";

/// A gateway as browsers reach it.
pub trait Reached {
    fn url(&self) -> &str;
    /// A client that follows nothing by itself.
    fn browser(&self) -> &reqwest::Client;
}

impl Reached for TestApp {
    fn url(&self) -> &str {
        &self.url
    }

    fn browser(&self) -> &reqwest::Client {
        &self.no_redirects
    }
}

impl Reached for Process {
    fn url(&self) -> &str {
        &self.url
    }

    fn browser(&self) -> &reqwest::Client {
        &self.no_redirects
    }
}

/// A browser of the operator's: it keeps cookies, and follows nothing by itself.
pub struct Browser {
    cookie: Option<String>,
}

/// A page that a browser got.
pub struct Page {
    pub status: u16,
    pub location: Option<String>,
    pub text: String,
}

impl Browser {
    pub const fn new() -> Self {
        Self { cookie: None }
    }

    #[expect(clippy::disallowed_methods, reason = "the gateway's pages are small")]
    pub async fn open(&mut self, app: &impl Reached, address: &str) -> Page {
        let mut request = app.browser().get(address);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.expect("an answer");
        let headers = answer.headers().clone();
        let text = |name: &str| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        if let Some(set) = text("set-cookie") {
            assert!(set.contains("HttpOnly; SameSite=Lax"), "{set}");
            let pair = set.split(';').next().expect("a pair").to_owned();
            self.cookie = (!set.contains("Max-Age=0")).then_some(pair);
        }
        assert_eq!(text("cache-control").as_deref(), Some("no-store"));
        let status = answer.status().as_u16();
        Page { status, location: text("location"), text: answer.text().await.expect("a body") }
    }

    /// Opens the link of an authorization, and gives where its button leads.
    pub async fn begin(&mut self, app: &impl Reached, link: &str) -> String {
        let (_, path) = link.split_once("/oauth/").expect("a link");
        let page = self.open(app, &format!("{}/oauth/{path}", app.url())).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let (_, rest) = page.text.split_once("href=\"").expect("a button");
        rest.split('"').next().expect("an address").replace("&amp;", "&")
    }

    /// Comes back from the vendor, and may get no answer.
    pub async fn try_come_back(self, client: &reqwest::Client, url: &str, query: &str) {
        let request = client.get(format!("{url}/oauth/callback?{query}"));
        let _ = request.header("cookie", self.cookie.expect("a cookie")).send().await;
    }

    /// Comes back from the vendor.
    pub async fn come_back(&mut self, app: &impl Reached, query: &str) -> Page {
        self.open(app, &format!("{}/oauth/callback?{query}", app.url())).await
    }
}

pub async fn begin(app: &TestApp, token: &str, input: Value) -> Value {
    let answer = app.graphql(token, BEGIN, json!({ "input": input })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["beginOAuthConnection"]["authorization"].clone()
}

pub async fn read(app: &TestApp, token: &str, id: &Value) -> Value {
    let answer = app.graphql(token, READ, json!({ "id": id })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["authorization"].clone()
}

/// Goes the whole way for an authorization that has begun, as this account; gives it as it has ended.
async fn authorize(app: &TestApp, granting: &Granting, token: &str, begun: &Value, account: &str) -> Value {
    let mut browser = Browser::new();
    let address = browser.begin(app, begun["authorizationUrl"].as_str().expect("a link")).await;
    browser.come_back(app, &granting.consent(&address, account)).await;
    read(app, token, &begun["id"]).await
}

/// Connects as this account; gives the connection's id.
pub async fn connected(app: &TestApp, granting: &Granting, token: &str, account: &str) -> String {
    let begun = begin(app, token, json!({"connectorSlug": "granting"})).await;
    let ended = authorize(app, granting, token, &begun, account).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    ended["connection"]["id"].as_str().expect("an id").to_owned()
}
