//! A client of the sandbox, written by hand: its requests and what it reads from the answers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::app::TestApp;

/// What the client keeps to itself until it turns a code in.
pub(super) const VERIFIER: &str = "a-verifier-that-only-this-client-knows-0123456789";
/// Every scope that there is.
pub(super) const ALL: &str = "account.read submissions.write submissions.read";

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON, but {} bytes", self.text.len()))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The ticket in a consent page.
    pub(super) fn ticket(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"ticket\" value=\"").expect("a ticket");
        rest.split('"').next().expect("its end").to_owned()
    }

    /// A parameter of the address that a redirect leads to.
    pub(super) fn sent_back(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(self.header("location")).expect("an address");
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// Status, error, and description.
    pub(super) fn refusal(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        (self.status, text("error"), text("error_description"))
    }
}

/// A client of the sandbox, written by hand.
pub(super) struct Client {
    pub(super) app: TestApp,
    pub(super) http: reqwest::Client,
    pub(super) secret: String,
}

impl Client {
    pub(super) async fn start() -> Self {
        let app = TestApp::start().await;
        let secret = app.sandbox_app().secret.expose().to_owned();
        let http = crate::support::http::client_that_stays();
        Self { app, http, secret }
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.app.url))
    }

    pub(super) fn callback(&self) -> String {
        format!("{}/oauth/callback", self.app.url)
    }

    pub(super) fn asking(&self) -> Vec<(&'static str, String)> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        [
            ("response_type", "code"),
            ("client_id", "sandbox"),
            ("redirect_uri", &self.callback()),
            ("scope", ALL),
            ("state", "s&1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }

    pub(super) async fn authorize(&self, parameters: &[(&str, String)]) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        read(self.request(Method::GET, &format!("/sandbox/oauth/authorize?{query}"))).await
    }

    pub(super) async fn ticket(&self) -> String {
        let page = self.authorize(&self.asking()).await;
        assert_eq!(page.status, 200);
        page.ticket()
    }

    pub(super) async fn answer(&self, form: &[(&str, &str)]) -> Answer {
        read(filled(self.request(Method::POST, "/sandbox/oauth/authorize"), form)).await
    }

    /// Consents to these scopes, and gives the code.
    pub(super) async fn code(&self, scopes: &str) -> String {
        let ticket = self.ticket().await;
        let mut form =
            vec![("ticket", ticket.as_str()), ("account", "acct_2"), ("lifetime", "60"), ("decision", "allow")];
        form.extend(scopes.split(' ').map(|scope| ("scope", scope)));
        let sent = self.answer(&form).await;
        assert_eq!(sent.status, 302, "{}", sent.text);
        assert_eq!(sent.sent_back("state").as_deref(), Some("s&1"));
        assert_eq!(sent.sent_back("iss"), Some(format!("{}/sandbox", self.app.url)));
        sent.sent_back("code").expect("a code")
    }

    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.request(Method::POST, path).basic_auth("sandbox", Some(&self.secret));
        read(filled(request, form)).await
    }

    pub(super) async fn exchange(&self, code: &str, verifier: &str) -> Answer {
        let callback = self.callback();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &callback),
            ("code_verifier", verifier),
        ];
        self.post("/sandbox/oauth/token", &form).await
    }

    /// Access and refresh token of a new grant.
    pub(super) async fn connect(&self, scopes: &str) -> (String, String) {
        let code = self.code(scopes).await;
        tokens(&self.exchange(&code, VERIFIER).await)
    }

    pub(super) async fn refresh(&self, token: &str) -> Answer {
        self.post("/sandbox/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    pub(super) async fn account(&self, access: &str) -> Answer {
        read(self.request(Method::GET, "/sandbox/api/account").bearer_auth(access)).await
    }

    pub(super) async fn introspect(&self, token: &str) -> Value {
        self.post("/sandbox/oauth/introspect", &[("token", token)]).await.json()
    }

    pub(super) async fn switch(&self, switch: Value) -> Answer {
        let request = self.request(Method::POST, "/sandbox/switches").header("content-type", "application/json");
        read(request.body(switch.to_string())).await
    }

    pub(super) async fn grants(&self) -> Value {
        read(self.request(Method::GET, "/sandbox/grants")).await.json()
    }
}

/// A request whose body is this form.
pub(super) fn filled(request: RequestBuilder, form: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

#[expect(clippy::disallowed_methods, reason = "the sandbox's answers to a test are small")]
pub(super) async fn read(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

pub(super) fn tokens(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let token = |name: &str| json[name].as_str().expect("a token").to_owned();
    (token("access_token"), token("refresh_token"))
}

#[track_caller]
pub(super) fn assert_refused(answer: &Answer, status: u16, error: &str, description: &str) {
    let (found, code, said) = answer.refusal();
    assert_eq!((found, code.as_str()), (status, error), "{said}");
    assert!(said.contains(description), "{said}");
}
