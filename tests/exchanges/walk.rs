//! Walks one exchange through a connector. What differs comes back as the error, so that a changed manifest can be
//! walked as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    path::Path,
    sync::Arc,
};

use integrations_gateway::{
    connector::{
        CallContext, Connector, Event, Operation, SigningKeys, TestFinding, TestRun, TestStep, Values, Verdict,
        build_delivery, check_payload, mask, preview_delivery, read_delivery,
    },
    domain::{connector::AuthFlow, exchange::OutboundRequest, secret::Secret},
};
use serde_json::{Value, json};

use super::{
    document::{Case, EventDocument, Exchange, GrantDocument, Read, Request, Says},
    transport::Transport,
};

pub(super) type Walked<T = ()> = Result<T, String>;

/// One exchange and the connector that it is about.
pub struct Walk<'a> {
    pub connector: &'a Arc<Connector>,
    pub place: &'a str,
    pub exchange: &'a Exchange,
    pub transport: &'a dyn Transport,
}

pub(super) fn same<T: PartialEq + Debug>(place: &str, found: &T, expected: &T) -> Walked {
    if found == expected { Ok(()) } else { Err(format!("{place}:\n  found    {found:?}\n  expected {expected:?}")) }
}

pub(super) fn same_json(place: &str, found: &Value, expected: &Value) -> Walked {
    if found == expected { Ok(()) } else { Err(format!("{place}:\n  found    {found}\n  expected {expected}")) }
}

/// All that went wrong in several walks.
pub(super) fn all(walks: impl Iterator<Item = Walked>) -> Walked {
    let wrong: Vec<String> = walks.filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

impl Walk<'_> {
    pub fn flow(&self) -> AuthFlow {
        AuthFlow::parse(&self.exchange.flow).expect("a flow")
    }

    /// Walks the exchange to its end.
    pub fn walk(&self) -> Walked {
        match (&self.exchange.event, &self.exchange.oauth) {
            (Some(event), _) => self.delivery(event),
            (None, Some(oauth)) => self.oauth(oauth),
            (None, None) => self.test(),
        }
    }

    /// Hands what a call needs to `call`. The values go through their sealed form, as they do in the house.
    pub(super) fn with_context<T>(&self, call: impl FnOnce(&CallContext<'_>) -> Walked<T>) -> Walked<T> {
        let flow = self.connector.flow(self.flow()).ok_or_else(|| format!("{}: no such flow", self.place))?;
        let given: Vec<(String, Secret)> =
            self.exchange.fields.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
        let checked = flow.check(&given).map_err(|violations| format!("{}: {violations:?}", self.place))?;
        let values = Values::from_json(&checked.to_json()).expect("values");
        let signing = SigningKeys(self.exchange.signing.iter().map(|key| Secret::from(key.as_str())).collect());
        let message_id = &self.exchange.message_id;
        let grant = self.exchange.grant.as_ref().map(GrantDocument::to_grant);
        let now = self.exchange.now;
        call(&CallContext { values: &values, signing: &signing, grant: grant.as_ref(), now, message_id })
    }

    /// What the library says of the flow.
    fn says(&self) -> Walked {
        let flow = self.connector.flow(self.flow()).ok_or_else(|| format!("{}: no such flow", self.place))?;
        let sealed = flow.fields.iter().filter(|field| field.secret).map(|field| field.name.clone());
        let destination =
            self.with_context(|context| Ok(flow.destination_label(self.connector, context.values, context.grant)))?;
        let says = Says {
            sealed: sealed.collect(),
            expires: flow.expires,
            refreshable: flow.refreshable,
            revocable: flow.revocable,
            scopes_editable: flow.scopes_editable,
            destination,
            scopes: flow.oauth.as_ref().map(|_| {
                let scopes = self.connector.scopes.iter();
                scopes.map(|scope| (scope.id.clone(), scope.default, scope.sensitive)).collect()
            }),
        };
        let expected = self.exchange.says.as_ref().ok_or_else(|| format!("{}: `says` is missing", self.place))?;
        same(self.place, &says, expected)
    }

    fn test(&self) -> Walked {
        assert!(!self.exchange.cases.is_empty(), "{}: no case", self.place);
        all([self.says()].into_iter().chain(self.exchange.cases.iter().map(|case| self.case(case))))
    }

    fn case(&self, case: &Case) -> Walked {
        let place = format!("{}: {}", self.place, case.name);
        assert_facts(&place, &case.facts);
        let found = self.with_context(|context| {
            let mut run = TestRun::new(self.connector, self.flow());
            for (reply, expected) in case.answers.iter().zip(&self.exchange.requests) {
                let request = match run.next(context).map_err(|error| format!("{place}: {error}"))? {
                    TestStep::Send(request) => request,
                    TestStep::Done(found) => return Err(format!("{place}: ended early: {found:?}")),
                };
                same_request(&place, &request, expected)?;
                run.answer(self.transport.send(&place, &request, reply)?.as_ref(), context);
            }
            match run.next(context) {
                Ok(TestStep::Done(found)) => Ok(found),
                Ok(TestStep::Send(request)) => Err(format!("{place}: goes on with {}", request.url)),
                Err(error) => Err(format!("{place}: {error}")),
            }
        })?;
        same_json(&place, &shown(&found), &case.found)
    }

    fn delivery(&self, document: &EventDocument) -> Walked {
        let unknown = || format!("{}: no operation {}", self.place, document.event_type);
        let operation = self.connector.operation(&document.event_type).ok_or_else(unknown)?;
        same(self.place, &check_payload(operation, &document.payload), &Vec::new())?;
        let event = Event {
            event_type: &document.event_type,
            event_identifier: &document.event_identifier,
            payload: &document.payload,
            accepted_at: document.accepted_at,
            module: &document.module,
        };
        let expected = self.exchange.request.as_ref().expect("the request of the delivery");
        let request = self.with_context(|context| {
            let request = build_delivery(self.connector, self.flow(), operation, &event, context)
                .map_err(|error| format!("{}: {error}", self.place))?;
            same_request(self.place, &request, expected)?;
            self.previewed(operation, &event, context, &request)?;
            // Whatever a vendor echoes of it, no credential gets through.
            let echo = format!("{:?} {}", request.headers, String::from_utf8_lossy(request.body.expose()));
            let masked = mask(&echo, context);
            for secret in self.connector.flow(self.flow()).expect("a flow").fields.iter().filter(|field| field.secret) {
                if let Some(value) = self.exchange.fields.get(&secret.name)
                    && masked.contains(value)
                {
                    return Err(format!("{}: {} shows", self.place, secret.name));
                }
            }
            match context.grant {
                Some(grant) if masked.contains(grant.access.expose()) => {
                    Err(format!("{}: the access token shows", self.place))
                }
                _ => Ok(request),
            }
        })?;
        assert!(!self.exchange.answers.is_empty(), "{}: no answer", self.place);
        all(self.exchange.answers.iter().map(|read| self.read(operation, &request, read)))
    }

    /// The preview is the request, but for what stands sealed in it; and it shows no secret.
    fn previewed(
        &self,
        operation: &Operation,
        event: &Event<'_>,
        context: &CallContext<'_>,
        request: &OutboundRequest,
    ) -> Walked {
        let flow = self.connector.flow(self.flow()).expect("a flow");
        let configuration = flow.configuration(context.values);
        let (id, now) = (context.message_id, context.now);
        let preview = preview_delivery(self.connector, self.flow(), operation, event, &configuration, id, now)
            .map_err(|error| format!("{}: no preview: {error}", self.place))?;
        let text = format!("{preview:?}");
        let secrets = flow.fields.iter().filter(|field| field.secret);
        let secrets = secrets.filter_map(|field| self.exchange.fields.get(&field.name).map(String::as_str));
        let tokens = context.grant.iter().map(|grant| grant.access.expose());
        if let Some(secret) = secrets.chain(tokens).find(|secret| text.contains(secret)) {
            return Err(format!("{}: the preview shows {secret}: {text}", self.place));
        }
        let real = request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("a text")));
        let real: BTreeMap<&str, &str> = real.collect();
        let names: Vec<&str> = preview.headers.iter().map(|(name, _)| name.as_str()).collect();
        same(self.place, &names.iter().copied().collect::<BTreeSet<_>>(), &real.keys().copied().collect())?;
        let url = (preview.url.as_str(), request.url.as_str());
        let headers = preview.headers.iter().map(|(name, value)| (value.as_str(), real[name.as_str()]));
        let body = String::from_utf8_lossy(request.body.expose());
        let body = (preview.body.as_deref().unwrap_or_default(), &*body);
        let pairs = [(preview.method.as_str(), request.method.as_str()), url, body];
        all(pairs.into_iter().chain(headers).map(|(shown, sent)| {
            if fits(shown, sent) { Ok(()) } else { Err(format!("{}: {shown} is no view of {sent}", self.place)) }
        }))
    }

    fn read(&self, operation: &Operation, request: &OutboundRequest, read: &Read) -> Walked {
        let place = format!("{}: {}", self.place, read.name);
        assert_facts(&place, &read.facts);
        let answer = self.transport.send(&place, request, &read.answer)?;
        let reading = read_delivery(self.connector, self.flow(), operation, answer.as_ref(), self.exchange.now);
        same_json(&place, &concluded(&reading.verdict), &read.verdict)?;
        if read.detail.is_some() { same(&place, &reading.detail, &read.detail) } else { Ok(()) }
    }
}

/// Whether a text is what is shown, with anything in the place of what is sealed.
fn fits(shown: &str, sent: &str) -> bool {
    let parts: Vec<String> = shown.split("[sealed]").map(regex::escape).collect();
    regex::Regex::new(&format!("(?s)^{}$", parts.join(".+"))).expect("a pattern").is_match(sent)
}

/// What a test has found, as exchanges say it.
pub(super) fn shown(found: &TestFinding) -> Value {
    json!({
        "outcome": found.outcome.as_str(),
        "proof": found.proof.as_str(),
        "vendor_account_id": found.vendor_account_id,
        "vendor_account_name": found.vendor_account_name,
        "missing_scopes": found.missing_scopes,
        "vendor_error_code": found.vendor_error_code,
        "detail": found.detail,
    })
}

/// What follows from a delivery's answer, as exchanges say it.
pub(super) fn concluded(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Done => json!("done"),
        Verdict::Gone => json!("gone"),
        Verdict::Retry { failure, after } => {
            json!({"retry": failure.as_str(), "after_seconds": after.map(|after| after.as_secs())})
        }
        Verdict::Reject { failure } => json!({"reject": failure.as_str()}),
        Verdict::Reauthorize { failure, reason } => json!({"reauthorize": failure.as_str(), "reason": reason}),
    }
}

pub(super) fn assert_facts(place: &str, facts: &str) {
    let (file, line) = facts.split_once(':').unwrap_or_else(|| panic!("{place}: no file and line: {facts}"));
    let sheet = Path::new(file).extension().is_some_and(|extension| extension == "md");
    assert!(sheet && line.parse::<usize>().is_ok(), "{place}: no file and line: {facts}");
}

pub(super) fn same_request(place: &str, request: &OutboundRequest, expected: &Request) -> Walked {
    same(place, &request.method.as_str(), &expected.method.as_str())?;
    same(place, &request.url.as_str(), &expected.url.as_str())?;
    let headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    same(place, &headers, &expected.headers)?;
    let body = String::from_utf8(request.body.expose().to_vec()).expect("a text");
    match (&expected.body, &expected.json, &expected.form) {
        (Some(text), None, None) => same(place, &body, text),
        (None, Some(json), None) => {
            let found: Value = serde_json::from_str(&body).map_err(|_| format!("{place}: no JSON: {body}"))?;
            same_json(place, &found, json)
        }
        (None, None, Some(form)) => {
            let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            same(place, &pairs, form)
        }
        (None, None, None) => same(place, &body.as_str(), &""),
        _ => panic!("{place}: more than one body"),
    }
}
