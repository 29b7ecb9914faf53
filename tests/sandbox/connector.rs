//! The sandbox's connector against the sandbox: every request is built from its manifest, and every answer read by it.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use integrations_gateway::{
    connector::{
        CallContext, Connector, Consent, Event, Grant, Library, OAuthCall, OAuthClient, Revoked, SigningKeys, Source,
        TestFinding, TestRun, TestStep, TokenRefusal, Values, Verdict, build_delivery, read_delivery,
    },
    domain::{
        clock::Clock as _,
        connector::AuthFlow,
        exchange::{Answer, OutboundRequest},
        secret::Secret,
        test_report::TestOutcome,
    },
    sandbox::Sandbox,
};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::client::{ALL, Client, VERIFIER, read};
use crate::support::clock::{ManualClock, SeededEntropy};

/// The connector as the gateway of this client has it.
fn connector(client: &Client) -> Arc<Connector> {
    let url = client.app.url.parse().expect("an address");
    let manifest = Sandbox::new(&url, ManualClock::new(), &*SeededEntropy::new(1)).manifest(&url);
    let source = Source { file: "sandbox.toml".to_owned(), text: manifest.text };
    let library = Library::default().with_own(&source, &manifest.origins).expect("a right manifest");
    Arc::clone(library.get("sandbox").expect("the connector"))
}

/// Makes a call that was built from the manifest.
async fn send(client: &Client, request: OutboundRequest) -> Answer {
    let built = client.http.request(request.method, request.url.as_str()).headers(request.headers);
    let answer = read(built.body(request.body.expose().to_vec())).await;
    Answer {
        status: answer.status,
        headers: answer.headers,
        body: answer.text.into_bytes(),
        truncated: false,
        latency: Duration::ZERO,
    }
}

struct Connected<'a> {
    client: &'a Client,
    connector: &'a Arc<Connector>,
    call: OAuthCall<'a>,
    values: &'a Values,
}

impl Connected<'_> {
    fn now(&self) -> DateTime<Utc> {
        self.client.app.clock.now()
    }

    fn context<'c>(&'c self, grant: &'c Grant, signing: &'c SigningKeys) -> CallContext<'c> {
        CallContext { values: self.values, signing, grant: Some(grant), now: self.now(), message_id: "msg_1" }
    }

    async fn connect(&self) -> Grant {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let scopes: Vec<String> = ALL.split(' ').map(str::to_owned).collect();
        let redirect_uri = self.client.callback();
        let consent =
            Consent { redirect_uri: &redirect_uri, state: "s", scopes: &scopes, code_challenge: Some(&challenge) };
        let address = self.call.authorize_url(&consent).expect("an address");
        let page = read(self.client.http.request(Method::GET, address.as_str())).await;
        let ticket = page.ticket();
        let form = [
            ("ticket", ticket.as_str()),
            ("account", "acct_1"),
            ("lifetime", "60"),
            ("decision", "allow"),
            ("scope", "account.read"),
            ("scope", "submissions.write"),
        ];
        let code = Secret::new(self.client.answer(&form).await.sent_back("code").expect("a code"));
        let verifier = Secret::from(VERIFIER);
        let request = self.call.exchange(&code, Some(&verifier), &redirect_uri, &[]).expect("a request");
        let answer = send(self.client, request).await;
        self.call.read_token(Ok(&answer), &scopes, &[], None, self.now()).expect("a grant")
    }

    async fn refresh(&self, grant: &Grant) -> Result<Grant, TokenRefusal> {
        let answer = send(self.client, self.call.refresh(grant).expect("a request")).await;
        let read = self.call.read_token(Ok(&answer), &[], &[], Some(grant), self.now());
        read.map_err(|refused| refused.refusal)
    }

    async fn test(&self, grant: &Grant) -> TestFinding {
        let signing = SigningKeys::default();
        let context = self.context(grant, &signing);
        let mut run = TestRun::new(self.connector, AuthFlow::Oauth);
        loop {
            match run.next(&context).expect("a step") {
                TestStep::Send(request) => run.answer(Ok(&send(self.client, request).await), &context),
                TestStep::Done(finding) => return finding,
            }
        }
    }

    async fn deliver(&self, grant: &Grant) -> Verdict {
        let signing = SigningKeys::default();
        let operation = self.connector.operation("submission.created").expect("the operation");
        let event = Event {
            event_type: "submission.created",
            event_identifier: "17",
            payload: &operation.example_payload,
            accepted_at: self.now(),
            module: "forms",
        };
        let context = self.context(grant, &signing);
        let request = build_delivery(self.connector, AuthFlow::Oauth, operation, &event, &context).expect("a request");
        let answer = send(self.client, request).await;
        read_delivery(self.connector, AuthFlow::Oauth, operation, Ok(&answer), self.now()).verdict
    }
}

#[tokio::test]
async fn the_manifest_knows_what_the_sandbox_answers() {
    let client = Client::start().await;
    let connector = connector(&client);
    let (values, app) = (Values::default(), client.app.sandbox_app());
    let oauth_client = OAuthClient { id: app.id, secret: app.secret };
    let call = OAuthCall::new(&connector, &values, &oauth_client).expect("a flow");
    let connected = Connected { client: &client, connector: &connector, call, values: &values };

    let first = connected.connect().await;
    assert_eq!(first.scopes, ["account.read", "submissions.write"], "as granted, not as asked for");
    assert_eq!(first.expires_at, Some(connected.now() + Duration::from_mins(1)));
    let found = connected.test(&first).await;
    assert_eq!(found.outcome, TestOutcome::Connected);
    assert_eq!(found.vendor_account_id.as_deref(), Some("acct_1"));
    assert_eq!(found.vendor_account_name.as_deref(), Some("Lighthouse Books"));
    assert_eq!(connected.deliver(&first).await, Verdict::Done);

    client.switch(json!({"grant": 1, "do": "expire"})).await;
    assert_eq!(connected.test(&first).await.outcome, TestOutcome::CredentialExpired);
    assert!(matches!(connected.deliver(&first).await, Verdict::Reauthorize { .. }));
    let second = connected.refresh(&first).await.expect("a grant");
    assert_eq!(connected.test(&second).await.outcome, TestOutcome::Connected);

    client.switch(json!({"next": 2, "answer": 429, "at": "api", "seconds": 30})).await;
    assert_eq!(connected.test(&second).await.outcome, TestOutcome::VendorError);
    let limited = connected.deliver(&second).await;
    assert!(
        matches!(limited, Verdict::Retry { after: Some(after), .. } if after == Duration::from_secs(30)),
        "{limited:?}"
    );
    client.switch(json!({"next": 1, "answer": 500})).await;
    assert!(matches!(connected.deliver(&second).await, Verdict::Retry { after: None, .. }));
    assert_eq!(connected.refresh(&second).await, Err(TokenRefusal::Passing { after: None }));

    client.switch(json!({"grant": 1, "do": "drop_scope", "scope": "account.read"})).await;
    let found = connected.test(&second).await;
    assert_eq!(found.outcome, TestOutcome::ScopeInsufficient);
    assert_eq!(found.missing_scopes, ["account.read"]);
    let third = connected.refresh(&second).await.expect("a grant");
    assert_eq!(third.scopes, ["submissions.write"]);

    let revocation = connected.call.revoke(&third).expect("a request").expect("a call");
    assert_eq!(connected.call.read_revocation(Ok(&send(&client, revocation).await)), Revoked::Done);
    assert_eq!(connected.test(&third).await.outcome, TestOutcome::CredentialRevoked);
    assert_eq!(connected.refresh(&third).await, Err(TokenRefusal::Revoked));

    let other = connected.connect().await;
    connected.refresh(&other).await.expect("a grant");
    assert_eq!(connected.refresh(&other).await, Err(TokenRefusal::Revoked), "the second use of a token");
    let grants = client.grants().await;
    assert_eq!((&grants[0]["refreshed"], &grants[0]["revokedBy"]), (&json!(2), &json!("client")));
    assert_eq!((&grants[1]["refreshed"], &grants[1]["revokedBy"]), (&json!(1), &json!("reuse")));
}
