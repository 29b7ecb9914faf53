//! What the receiver has seen: the last requests, in bounded memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderMap, Method, header};
use serde_json::{Map, Value, json};

use super::signature::{self, Finding};
use crate::domain::{
    clock::SharedClock,
    secret::{SEALED, SecretBytes},
};

/// How many requests are kept.
const KEPT: usize = 50;
/// How much of a body is kept, in bytes.
pub(super) const BODY_KEPT: usize = 64 * 1024;
/// How many secrets can be registered.
const SECRETS_MAX: usize = 100;
/// Headers that prove who calls: their values are not kept.
const MASKED: [header::HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// The inbox of `/sandbox`. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(Arc<Shared>);

struct Shared {
    clock: SharedClock,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    /// The newest first.
    received: VecDeque<Received>,
    keys: Vec<SecretBytes>,
}

struct Received {
    at: DateTime<Utc>,
    method: Method,
    headers: Map<String, Value>,
    body: String,
    truncated: bool,
    signature: Finding,
}

/// Why a secret was not registered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RegisterError {
    Malformed,
    Full,
}

impl Inbox {
    /// An empty inbox; `clock` says whether a signature's time is right.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self(Arc::new(Shared { clock, content: Mutex::default() }))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Every change is one push or one clear, so a poisoned lock guards nothing half-done.
        self.0.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request, with what the check of its signature found.
    pub(super) fn receive(&self, method: &Method, headers: &HeaderMap, body: &[u8]) {
        let at = self.0.clock.now();
        let mut content = self.content();
        let signature = signature::check(headers, body, &content.keys, at);
        content.received.truncate(KEPT - 1);
        content.received.push_front(Received {
            at,
            method: method.clone(),
            headers: shown(headers),
            body: String::from_utf8_lossy(&body[..body.len().min(BODY_KEPT)]).into_owned(),
            truncated: body.len() > BODY_KEPT,
            signature,
        });
    }

    /// Registers a signing secret, as an operator would with a vendor. Once is as good as twice.
    pub(super) fn register(&self, secret: &str) -> Result<(), RegisterError> {
        let key = signature::key(secret).ok_or(RegisterError::Malformed)?;
        let mut content = self.content();
        if content.keys.contains(&key) {
            return Ok(());
        }
        if content.keys.len() >= SECRETS_MAX {
            return Err(RegisterError::Full);
        }
        content.keys.push(key);
        Ok(())
    }

    pub(super) fn forget_secrets(&self) {
        self.content().keys.clear();
    }

    pub(super) fn clear(&self) {
        self.content().received.clear();
    }

    /// The requests as JSON, the newest first.
    pub(super) fn to_json(&self) -> String {
        let list: Vec<Value> = self
            .content()
            .received
            .iter()
            .map(|received| {
                json!({
                    "receivedAt": received.at.to_rfc3339_opts(SecondsFormat::Millis, true),
                    "method": received.method.as_str(),
                    "signature": received.signature,
                    "headers": received.headers,
                    "body": received.body,
                    "truncated": received.truncated,
                })
            })
            .collect();
        format!("{:#}\n", Value::from(list))
    }
}

/// The headers by name, with those masked that prove who calls; several of one name are joined by commas.
fn shown(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .map(|name| {
            let value = if MASKED.contains(name) {
                SEALED.to_owned()
            } else {
                let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
                values.collect::<Vec<_>>().join(", ")
            };
            (name.as_str().to_owned(), Value::from(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::{BoxFuture, Clock};

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> DateTime<Utc> {
            DateTime::from_timestamp(1_649_367_553, 0).expect("a time")
        }

        fn sleep_until(&self, _: DateTime<Utc>) -> BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn inbox() -> Inbox {
        Inbox::new(Arc::new(Fixed))
    }

    fn list(inbox: &Inbox) -> Vec<Value> {
        serde_json::from_str(&inbox.to_json()).expect("JSON")
    }

    #[test]
    fn the_last_requests_are_kept_and_the_newest_stands_first() {
        let inbox = inbox();
        for number in 0..=KEPT {
            inbox.receive(&Method::POST, &HeaderMap::new(), number.to_string().as_bytes());
        }
        let list = list(&inbox);
        assert_eq!(list.len(), KEPT);
        assert_eq!((&list[0]["body"], &list[KEPT - 1]["body"]), (&json!("50"), &json!("1")));
        assert_eq!(list[0]["receivedAt"], "2022-04-07T21:39:13.000Z");
        inbox.clear();
        assert_eq!(inbox.to_json(), "[]\n");
    }

    #[test]
    fn what_proves_the_caller_is_masked_and_bodies_are_cut() {
        let inbox = inbox();
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer hunter2".parse().expect("a header"));
        headers.append("x-two", "a".parse().expect("a header"));
        headers.append("x-two", "b".parse().expect("a header"));
        inbox.receive(&Method::POST, &headers, "ü".repeat(BODY_KEPT).as_bytes());
        let shown = &list(&inbox)[0];
        assert!(!inbox.to_json().contains("hunter2"));
        assert_eq!(shown["headers"], json!({ "authorization": SEALED, "x-two": "a, b" }));
        assert_eq!((shown["body"].as_str().map(str::len), &shown["truncated"]), (Some(BODY_KEPT), &json!(true)));
        assert_eq!(shown["signature"], "unsigned");
    }

    #[test]
    fn secrets_are_bounded_and_never_shown() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let inbox = inbox();
        let secret = |n: usize| format!("whsec_{}", STANDARD.encode(format!("{n:024}")));
        for n in 0..SECRETS_MAX {
            assert_eq!(inbox.register(&secret(n)), Ok(()));
        }
        assert_eq!(inbox.register(&secret(0)), Ok(()), "it is known already");
        assert_eq!(inbox.register(&secret(SECRETS_MAX)), Err(RegisterError::Full));
        inbox.forget_secrets();
        assert_eq!(inbox.register(&secret(SECRETS_MAX)), Ok(()));
        assert_eq!(inbox.register("whsec_"), Err(RegisterError::Malformed));
    }
}
