//! Faults that were asked for: the next so many answers of an endpoint are not what they should be.

use std::{future::ready, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{answer::Refusal, vendor::Vendor};

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Token,
    Revocation,
    Api,
}

impl Endpoint {
    pub(super) const ALL: [Self; 3] = [Self::Token, Self::Revocation, Self::Api];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Revocation => "revocation",
            Self::Api => "api",
        }
    }
}

/// How an answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 429, and nothing is done. Says when to come back.
    TooMany(Duration),
    /// 500, and nothing is done.
    Broken,
    /// Everything is done, and the answer waits.
    Slow(Duration),
    /// Everything is done, and the connection is closed before the answer is whole.
    Cut,
}

impl Fault {
    const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany(_) => "429",
            Self::Broken => "500",
            Self::Slow(_) => "slow",
            Self::Cut => "cut",
        }
    }
}

/// What is planned for each endpoint.
#[derive(Debug, Default)]
pub(super) struct Faults([Option<(u32, Fault)>; Endpoint::ALL.len()]);

impl Faults {
    /// The next `times` answers of this endpoint fail so; none is as before.
    pub(super) const fn plan(&mut self, endpoint: Endpoint, times: u32, fault: Fault) {
        self.0[endpoint as usize] = if times == 0 { None } else { Some((times, fault)) };
    }

    /// What befalls the answer that is due now.
    pub(super) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let planned = &mut self.0[endpoint as usize];
        let (left, fault) = (*planned)?;
        *planned = (left > 1).then_some((left - 1, fault));
        Some(fault)
    }

    /// What is still planned.
    pub(super) fn to_json(&self) -> Value {
        let planned = Endpoint::ALL.into_iter().zip(self.0);
        planned
            .filter_map(|(endpoint, planned)| Some((endpoint, planned?)))
            .map(|(endpoint, (left, fault))| json!({"at": endpoint.as_str(), "next": left, "answer": fault.as_str()}))
            .collect()
    }
}

/// The middleware of an endpoint that can be made to fail.
pub(super) async fn befall(
    State((vendor, endpoint)): State<(Vendor, Endpoint)>,
    request: Request,
    next: Next,
) -> Response {
    let planned = vendor.state().faults.take(endpoint);
    match planned {
        None => next.run(request).await,
        Some(Fault::TooMany(wait)) => {
            let error = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", "told to answer 429");
            ([(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()))], error).into_response()
        }
        Some(Fault::Broken) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "told to answer 500").into_response()
        }
        Some(Fault::Slow(wait)) => {
            let response = next.run(request).await;
            let clock = vendor.clock();
            clock.sleep_until(clock.now() + wait).await;
            response
        }
        Some(Fault::Cut) => cut(next.run(request).await),
    }
}

/// The same head, and a body at whose beginning the connection is closed.
fn cut(response: Response) -> Response {
    let broken = Err::<Bytes, _>(std::io::Error::other("told to break off"));
    Response::from_parts(response.into_parts().0, Body::from_stream(stream::once(ready(broken))))
}
