//! Signing messages as Standard Webhooks has it (standard-webhooks/standard-webhooks, "Signature scheme"),
//! and the secrets for it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{placeholders::BuildError, request::header_value};
use crate::domain::secret::Secret;

const PREFIX: &str = "whsec_";

/// Signing secrets (`whsec_...`), the newest first. All of them sign, so that a receiver can change over.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys(pub Vec<Secret>);

/// A signing secret of 32 random bytes.
#[must_use]
pub fn new_signing_secret(bytes: [u8; 32]) -> Secret {
    let bytes = Zeroizing::new(bytes);
    let encoded = Zeroizing::new(STANDARD.encode(*bytes));
    Secret::new(format!("{PREFIX}{}", *encoded))
}

impl SigningKeys {
    /// Adds the three headers of a signed message.
    pub(super) fn sign(
        &self,
        id: &str,
        now: DateTime<Utc>,
        body: &[u8],
        headers: &mut HeaderMap,
    ) -> Result<(), BuildError> {
        if id.is_empty() || id.contains('.') {
            return Err(BuildError::new("the message's id cannot be signed: it is empty or contains a `.`"));
        }
        if self.0.is_empty() {
            return Err(BuildError::new("the connection has no signing secret"));
        }
        let timestamp = now.timestamp().to_string();
        let content = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        let mut signatures = Vec::new();
        for secret in &self.0 {
            signatures.push(format!("v1,{}", signature(secret, &content)?));
        }
        write(id, now, &signatures.join(" "), headers)
    }
}

/// The three headers of a message with this signature.
pub(super) fn write(id: &str, now: DateTime<Utc>, signature: &str, headers: &mut HeaderMap) -> Result<(), BuildError> {
    let mut set = |name: &'static str, value: &str| {
        let name = HeaderName::from_static(name);
        let value: HeaderValue = header_value(&name, value)?;
        headers.insert(name, value);
        Ok(())
    };
    set("webhook-id", id)?;
    set("webhook-timestamp", &now.timestamp().to_string())?;
    set("webhook-signature", signature)
}

fn signature(secret: &Secret, content: &[u8]) -> Result<String, BuildError> {
    let unusable = || BuildError::new("the connection's signing secret cannot be read");
    let key = secret.expose().strip_prefix(PREFIX).ok_or_else(unusable)?;
    let key = Zeroizing::new(STANDARD.decode(key).map_err(|_| unusable())?);
    if key.is_empty() {
        return Err(unusable());
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| unusable())?;
    mac.update(content);
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNED: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn sign(keys: &[&str], id: &str) -> Result<HeaderMap, BuildError> {
        let mut headers = HeaderMap::new();
        let keys = SigningKeys(keys.iter().map(|key| Secret::from(*key)).collect());
        keys.sign(id, DateTime::from_timestamp(1_649_367_553, 0).unwrap(), BODY, &mut headers)?;
        Ok(headers)
    }

    #[test]
    fn signs_the_published_example() {
        let headers = sign(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"], ID).unwrap();
        assert_eq!(headers["webhook-id"], ID);
        assert_eq!(headers["webhook-timestamp"], "1649367553");
        assert_eq!(headers["webhook-signature"], SIGNED);
    }

    #[test]
    fn every_secret_signs_in_its_order() {
        let new = new_signing_secret([7; 32]);
        let headers = sign(&[new.expose(), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"], ID).unwrap();
        let signatures: Vec<&str> = headers["webhook-signature"].to_str().unwrap().split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert_eq!(signatures[1], SIGNED);
        assert_ne!(signatures[0], SIGNED);
    }

    #[test]
    fn refuses_what_cannot_be_verified() {
        assert!(sign(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"], "a.b").is_err());
        for keys in [&[][..], &["whsec_"], &["C2FVsBQIhrscChlQIMV+b5sSYspob7oD"], &["whsec_%"]] {
            assert!(sign(keys, ID).is_err(), "{keys:?}");
        }
    }

    #[test]
    fn a_new_secret_has_the_specified_form() {
        let secret = new_signing_secret([255; 32]);
        let key = STANDARD.decode(secret.expose().strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(key, [255; 32]);
    }
}
