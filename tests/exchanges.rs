//! What goes to each vendor and what its answers mean, walked without a network: each file under
//! `tests/vendors/<slug>/` holds one call as it must go out, answers to it, and what must be concluded.
//!
//! Each answer names the vendor fact that it rests on: file and line of the fact sheets that the manifests
//! were written from.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use integrations_gateway::{
    connector::{
        CallContext, Connector, Event, Grant, Library, LoadOptions, SigningKeys, TestRun, TestStep, Values, Verdict,
        build_delivery, built_in, check_payload, mask, read_delivery,
    },
    domain::{
        connector::AuthFlow,
        exchange::{Answer, NoAnswer, OutboundRequest, TransportError},
        secret::Secret,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

/// One file: a connection, one call, and either a test's cases or a delivery's answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    flow: String,
    fields: BTreeMap<String, String>,
    #[serde(default)]
    signing: Vec<String>,
    /// Of an OAuth flow.
    grant: Option<GrantDocument>,
    now: DateTime<Utc>,
    message_id: String,
    /// Of a test: the calls of its steps, in their order.
    #[serde(default)]
    requests: Vec<Request>,
    #[serde(default)]
    cases: Vec<Case>,
    /// Of a delivery.
    event: Option<EventDocument>,
    request: Option<Request>,
    #[serde(default)]
    answers: Vec<Read>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantDocument {
    access: String,
    refresh: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    captured: BTreeMap<String, String>,
}

impl GrantDocument {
    /// The grant, through its sealed form.
    fn to_grant(&self) -> Grant {
        let grant = Grant {
            access: Secret::from(self.access.as_str()),
            refresh: self.refresh.as_deref().map(Secret::from),
            scopes: self.scopes.clone(),
            expires_at: None,
            captured: self.captured.clone().into_iter().collect(),
        };
        Grant::from_json(&grant.to_json()).expect("a grant")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    url: String,
    /// All of them.
    headers: BTreeMap<String, String>,
    body: Option<String>,
    json: Option<Value>,
    form: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    facts: String,
    /// One for each call that the test makes.
    answers: Vec<Reply>,
    found: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventDocument {
    event_type: String,
    event_identifier: String,
    payload: Value,
    accepted_at: DateTime<Utc>,
    module: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    name: String,
    facts: String,
    answer: Reply,
    verdict: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reply {
    None { no_answer: String, detail: String },
    Json { status: u16, headers: BTreeMap<String, String>, json: Value },
    Text { status: u16, headers: BTreeMap<String, String>, body: String },
}

impl Reply {
    fn to_result(&self) -> Result<Answer, NoAnswer> {
        let (status, headers, body) = match self {
            Self::None { no_answer, detail } => {
                let error = TransportError::parse(no_answer).expect("a transport error");
                return Err(NoAnswer { error, detail: detail.clone(), latency: Duration::ZERO });
            }
            Self::Json { status, headers, json } => (status, headers, json.to_string()),
            Self::Text { status, headers, body } => (status, headers, body.clone()),
        };
        let header = |(name, value): (&String, &String)| {
            (HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"))
        };
        let headers: HeaderMap = headers.iter().map(header).collect();
        Ok(Answer { status: *status, headers, body: body.into_bytes(), truncated: false, latency: Duration::ZERO })
    }
}

#[test]
fn every_exchange_of_every_shipped_connector() {
    let library = Library::load(built_in(), LoadOptions::default()).expect("the shipped manifests are right");
    assert!(!library.list().is_empty());
    for connector in library.list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vendors").join(&connector.slug);
        let files = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} has no exchanges", connector.slug));
        let mut tested = Vec::new();
        let mut delivered = Vec::new();
        for file in files {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("a readable file");
            let exchange: Exchange = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let place = format!("{}/{}", connector.slug, path.file_name().expect("a name").to_string_lossy());
            let walk = Walk { connector, place: &place, exchange: &exchange };
            if let Some(event) = &exchange.event {
                walk.delivery(event);
                delivered.push(connector.operation(&event.event_type).expect("an operation").event_type.clone());
            } else {
                walk.test();
                tested.push(walk.flow());
            }
        }
        for flow in &connector.flows {
            assert!(tested.contains(&flow.flow), "{}: no exchange tests the flow {}", connector.slug, flow.flow);
        }
        for operation in &connector.operations {
            let event_type = &operation.event_type;
            assert!(delivered.contains(event_type), "{}: no exchange delivers {event_type}", connector.slug);
        }
    }
}

struct Walk<'a> {
    connector: &'a Arc<Connector>,
    place: &'a str,
    exchange: &'a Exchange,
}

impl Walk<'_> {
    fn flow(&self) -> AuthFlow {
        AuthFlow::parse(&self.exchange.flow).expect("a flow")
    }

    /// Hands what a call needs to `call`. The values go through their sealed form, as they do in the house.
    fn with_context<T>(&self, call: impl FnOnce(&CallContext<'_>) -> T) -> T {
        let flow = self.connector.flow(self.flow()).expect("the connector has the flow");
        let given: Vec<(String, Secret)> =
            self.exchange.fields.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
        let checked = flow.check(&given).unwrap_or_else(|violations| panic!("{}: {violations:?}", self.place));
        let values = Values::from_json(&checked.to_json()).expect("values");
        let signing = SigningKeys(self.exchange.signing.iter().map(|key| Secret::from(key.as_str())).collect());
        let message_id = &self.exchange.message_id;
        let grant = self.exchange.grant.as_ref().map(GrantDocument::to_grant);
        call(&CallContext {
            values: &values,
            signing: &signing,
            grant: grant.as_ref(),
            now: self.exchange.now,
            message_id,
        })
    }

    fn test(&self) {
        assert!(!self.exchange.cases.is_empty(), "{}: no case", self.place);
        for case in &self.exchange.cases {
            let place = format!("{}: {}", self.place, case.name);
            assert_facts(&place, &case.facts);
            let found = self.with_context(|context| {
                let mut run = TestRun::new(self.connector, self.flow());
                for (reply, expected) in case.answers.iter().zip(&self.exchange.requests) {
                    match run.next(context).unwrap_or_else(|error| panic!("{place}: {error}")) {
                        TestStep::Send(request) => assert_request(&place, &request, expected),
                        TestStep::Done(found) => panic!("{place}: ended early: {found:?}"),
                    }
                    run.answer(reply.to_result().as_ref(), context);
                }
                match run.next(context) {
                    Ok(TestStep::Done(found)) => found,
                    other => panic!("{place}: goes on: {other:?}"),
                }
            });
            let found = json!({
                "outcome": found.outcome.as_str(),
                "proof": found.proof.as_str(),
                "vendor_account_id": found.vendor_account_id,
                "vendor_account_name": found.vendor_account_name,
                "missing_scopes": found.missing_scopes,
                "vendor_error_code": found.vendor_error_code,
                "detail": found.detail,
            });
            assert_eq!(found, case.found, "{place}");
        }
    }

    fn delivery(&self, document: &EventDocument) {
        let operation = self.connector.operation(&document.event_type).expect("an operation");
        assert_eq!(check_payload(operation, &document.payload), [], "{}", self.place);
        let event = Event {
            event_type: &document.event_type,
            event_identifier: &document.event_identifier,
            payload: &document.payload,
            accepted_at: document.accepted_at,
            module: &document.module,
        };
        let expected = self.exchange.request.as_ref().expect("the request of the delivery");
        self.with_context(|context| {
            let request = build_delivery(self.connector, self.flow(), operation, &event, context)
                .unwrap_or_else(|error| panic!("{}: {error}", self.place));
            assert_request(self.place, &request, expected);
            // Whatever a vendor echoes of it, no credential gets through.
            let echo = format!("{:?} {}", request.headers, String::from_utf8_lossy(request.body.expose()));
            let masked = mask(&echo, context);
            for secret in self.connector.flow(self.flow()).expect("a flow").fields.iter().filter(|field| field.secret) {
                if let Some(value) = self.exchange.fields.get(&secret.name) {
                    assert!(!masked.contains(value), "{}: {} shows", self.place, secret.name);
                }
            }
            if let Some(grant) = context.grant {
                assert!(!masked.contains(grant.access.expose()), "{}: the access token shows", self.place);
            }
        });
        assert!(!self.exchange.answers.is_empty(), "{}: no answer", self.place);
        for read in &self.exchange.answers {
            let place = format!("{}: {}", self.place, read.name);
            assert_facts(&place, &read.facts);
            let reading = read_delivery(self.connector, operation, read.answer.to_result().as_ref(), self.exchange.now);
            let verdict = match reading.verdict {
                Verdict::Done => json!("done"),
                Verdict::Gone => json!("gone"),
                Verdict::Retry { failure, after } => {
                    json!({"retry": failure.as_str(), "after_seconds": after.map(|after| after.as_secs())})
                }
                Verdict::Reject { failure } => json!({"reject": failure.as_str()}),
                Verdict::Reauthorize { failure, reason } => {
                    json!({"reauthorize": failure.as_str(), "reason": reason})
                }
            };
            assert_eq!(verdict, read.verdict, "{place}");
        }
    }
}

fn assert_facts(place: &str, facts: &str) {
    let (file, line) = facts.split_once(':').unwrap_or_else(|| panic!("{place}: no file and line: {facts}"));
    let sheet = Path::new(file).extension().is_some_and(|extension| extension == "md");
    assert!(sheet && line.parse::<usize>().is_ok(), "{place}: no file and line: {facts}");
}

fn assert_request(place: &str, request: &OutboundRequest, expected: &Request) {
    assert_eq!(request.method.as_str(), expected.method, "{place}");
    assert_eq!(request.url.as_str(), expected.url, "{place}");
    let headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    assert_eq!(headers, expected.headers, "{place}");
    let body = String::from_utf8(request.body.expose().to_vec()).expect("a text");
    match (&expected.body, &expected.json, &expected.form) {
        (Some(text), None, None) => assert_eq!(body, *text, "{place}"),
        (None, Some(json), None) => assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), *json, "{place}"),
        (None, None, Some(form)) => {
            let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            assert_eq!(pairs, *form, "{place}");
        }
        (None, None, None) => assert_eq!(body, "", "{place}"),
        _ => panic!("{place}: more than one body"),
    }
}

/// A module sends one shape of an event wherever it goes; connectors differ in what they insist on only.
#[test]
fn an_event_type_has_one_shape() {
    let library = Library::load(built_in(), LoadOptions::default()).expect("the shipped manifests are right");
    let mut shapes: BTreeMap<&str, (&str, Value)> = BTreeMap::new();
    for connector in library.list() {
        for operation in &connector.operations {
            let shape = without_required(&operation.payload_schema);
            let (first, known) = shapes.entry(&operation.event_type).or_insert((&connector.slug, shape.clone()));
            assert_eq!(*known, shape, "{} differs between {first} and {}", operation.event_type, connector.slug);
        }
    }
}

fn without_required(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| *name != "required");
            Value::Object(kept.map(|(name, value)| (name.clone(), without_required(value))).collect())
        }
        other => other.clone(),
    }
}
