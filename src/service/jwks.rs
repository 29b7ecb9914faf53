//! The identity provider's public keys, as it publishes them.

use std::time::Duration;

use url::Url;

use super::gateway::Gateway;
use crate::{
    domain::{exchange::OutboundRequest, secret::SecretBytes},
    egress::Limits,
};

/// Requests wait for it: not long.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 256 * 1024;

impl Gateway {
    /// Fetches the key set of an identity provider.
    ///
    /// # Errors
    /// Why there is none, in words for the log.
    pub async fn fetch_public_keys(&self, url: &Url) -> Result<Vec<u8>, String> {
        let mut headers = http::HeaderMap::new();
        headers
            .insert(http::header::ACCEPT, http::HeaderValue::from_static("application/jwk-set+json, application/json"));
        let body = SecretBytes::new(Vec::new());
        let request = OutboundRequest { method: http::Method::GET, url: url.clone(), headers, body };
        let answer = self.egress.send(request, Limits { timeout: TIMEOUT, max_body: MAX_BODY }).await;
        let answer = answer.map_err(|none| format!("{}: {}", none.error, none.detail))?;
        match answer.status {
            200 if answer.truncated => Err(format!("it has more than {MAX_BODY} bytes")),
            200 => Ok(answer.body),
            other => Err(format!("it answers {other}")),
        }
    }
}
