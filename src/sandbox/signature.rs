//! Checking a signature as a receiver does (Standard Webhooks, "Verifying signatures").

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use serde::Serialize;
use sha2::Sha256;

use crate::domain::secret::SecretBytes;

/// How far a message's time may be from ours, in seconds.
const TOLERANCE_SECONDS: i64 = 5 * 60;

/// What the check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Finding {
    /// A registered secret made it, within the tolerance.
    #[serde(rename = "valid")]
    Valid,
    /// It is malformed, too old or from the future, or a registered secret should have made it and did not.
    #[serde(rename = "invalid")]
    Invalid,
    /// It is well-formed, and there is no secret to check it with.
    #[serde(rename = "unknown secret")]
    UnknownSecret,
    /// There is none.
    #[serde(rename = "unsigned")]
    Unsigned,
}

/// The key of a `whsec_` secret: 24 to 64 bytes.
pub(super) fn key(secret: &str) -> Option<SecretBytes> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&key.len()).then(|| SecretBytes::new(key))
}

/// Checks a message against the keys of all registered secrets.
pub(super) fn check(headers: &HeaderMap, body: &[u8], keys: &[SecretBytes], now: DateTime<Utc>) -> Finding {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (id, timestamp, signature) = match (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature")) {
        (Some(id), Some(timestamp), Some(signature)) => (id, timestamp, signature),
        (_, _, None) => return Finding::Unsigned,
        (_, _, Some(_)) => return Finding::Invalid,
    };
    let sent_at = timestamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let in_time = sent_at.is_some_and(|at: DateTime<Utc>| (now - at).abs() <= TimeDelta::seconds(TOLERANCE_SECONDS));
    let signatures: Vec<Vec<u8>> = signature
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|one| STANDARD.decode(one).ok())
        .collect();
    if !in_time || signatures.is_empty() {
        return Finding::Invalid;
    }
    if keys.is_empty() {
        return Finding::UnknownSecret;
    }
    let made_by = |key: &SecretBytes, signature: &[u8]| {
        Hmac::<Sha256>::new_from_slice(key.expose()).is_ok_and(|mut mac| {
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            mac.verify_slice(signature).is_ok()
        })
    };
    if keys.iter().any(|key| signatures.iter().any(|signature| made_by(key, signature))) {
        Finding::Valid
    } else {
        Finding::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The specification's own example, as its libraries test it.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const SENT: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    const OTHER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn find(signature: Option<&str>, body: &[u8], secrets: &[&str], late: i64) -> Finding {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", ID.parse().expect("a header"));
        headers.insert("webhook-timestamp", SENT.into());
        if let Some(signature) = signature {
            headers.insert("webhook-signature", signature.parse().expect("a header"));
        }
        let keys: Vec<_> = secrets.iter().map(|secret| key(secret).expect("a secret")).collect();
        check(&headers, body, &keys, DateTime::from_timestamp(SENT + late, 0).expect("a time"))
    }

    #[test]
    fn the_specifications_example_is_valid() {
        assert_eq!(find(Some(SIGNATURE), BODY, &[SECRET], 0), Finding::Valid);
        assert_eq!(find(Some(SIGNATURE), BODY, &[OTHER, SECRET], 300), Finding::Valid);
        assert_eq!(find(Some(&format!("v1,AAAA v1a,x {SIGNATURE}")), BODY, &[SECRET], -300), Finding::Valid);
    }

    #[test]
    fn anything_else_is_told_apart() {
        assert_eq!(find(Some(SIGNATURE), b"{}", &[SECRET], 0), Finding::Invalid);
        assert_eq!(find(Some(SIGNATURE), BODY, &[SECRET], 301), Finding::Invalid);
        assert_eq!(find(Some(SIGNATURE), BODY, &[SECRET], -301), Finding::Invalid);
        assert_eq!(find(Some(SIGNATURE), BODY, &[OTHER], 0), Finding::Invalid);
        assert_eq!(find(Some("v1,"), BODY, &[SECRET], 0), Finding::Invalid);
        assert_eq!(find(Some("v2,AAAA"), BODY, &[], 0), Finding::Invalid);
        assert_eq!(find(Some(SIGNATURE), BODY, &[], 0), Finding::UnknownSecret);
        assert_eq!(find(None, BODY, &[SECRET], 0), Finding::Unsigned);
    }

    #[test]
    fn a_secret_has_its_prefix_and_size() {
        assert!(key(SECRET).is_some());
        for wrong in ["", "whsec_", "whsec_AAAA", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_*"] {
            assert!(key(wrong).is_none(), "{wrong}");
        }
        assert!(key(&format!("whsec_{}", STANDARD.encode([0; 65]))).is_none());
    }
}
