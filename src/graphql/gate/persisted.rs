//! Automatic persisted queries, as Apollo's clients and servers speak them: a client sends the SHA-256 of its document,
//! and the document itself only where the server does not know it yet.

use std::sync::Arc;

use async_graphql::ServerError;
use quick_cache::{Weighter, sync::Cache};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The most that is kept, in bytes of documents.
const KEPT_MAX: u64 = 8 * 1024 * 1024;
/// How many documents are prepared for.
const KEPT_ITEMS: usize = 2_000;
/// What is kept for a document besides its text, in bytes.
const BYTES_BESIDES: u64 = 100;
/// Bytes of SHA-256.
const HASH_BYTES: usize = 32;

type Hash = [u8; HASH_BYTES];

/// The extension `persistedQuery` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persisted(Hash);

impl Persisted {
    /// Reads the extension, if the request has it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(extensions: &Map<String, Value>) -> Result<Option<Self>, String> {
        let Some(extension) = extensions.get("persistedQuery") else { return Ok(None) };
        if extension.get("version").and_then(Value::as_u64) != Some(1) {
            return Err("Extension \"persistedQuery\" must have the version 1.".to_owned());
        }
        let hash = extension.get("sha256Hash").and_then(Value::as_str).and_then(read_hex);
        let expected = "Extension \"persistedQuery\" must have a sha256Hash of 64 hexadecimal digits.";
        hash.map(|hash| Some(Self(hash))).ok_or_else(|| expected.to_owned())
    }

    fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

fn read_hex(text: &str) -> Option<Hash> {
    if text.len() != 2 * HASH_BYTES || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; HASH_BYTES];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

#[derive(Clone)]
struct Weight;

impl Weighter<Hash, Arc<str>> for Weight {
    fn weight(&self, _: &Hash, text: &Arc<str>) -> u64 {
        text.len() as u64 + BYTES_BESIDES
    }
}

/// The documents that clients have registered. What has not been asked for gives way; the client then sends
/// it again.
pub struct PersistedOperations(Cache<Hash, Arc<str>, Weight>);

impl PersistedOperations {
    pub fn new() -> Self {
        Self(Cache::with_weighter(KEPT_ITEMS, KEPT_MAX, Weight))
    }

    /// The document that a request means. A document that came along is held against its hash, and not yet kept.
    ///
    /// # Errors
    /// `PERSISTED_QUERY_NOT_FOUND`, upon which clients send the document; or that document and hash differ.
    pub fn resolve(&self, persisted: Persisted, sent: Option<&str>) -> Result<Arc<str>, Box<ServerError>> {
        let coded = |message: &str, code: &str| {
            let mut error = ServerError::new(message, None);
            error.extensions.get_or_insert_default().set("code", code);
            Box::new(error)
        };
        match sent {
            Some(text) if Persisted::of(text) == persisted => Ok(text.into()),
            Some(_) => Err(coded("the sha256Hash is not that of the document", "BAD_USER_INPUT")),
            // Clients look for this message, word for word.
            None => {
                self.0.get(&persisted.0).ok_or_else(|| coded("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND"))
            }
        }
    }

    /// Keeps a document that has passed the gate.
    pub fn keep(&self, persisted: Persisted, text: Arc<str>) {
        self.0.insert(persisted.0, text);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    fn extension(value: &Value) -> Map<String, Value> {
        Map::from_iter([("persistedQuery".to_owned(), value.clone())])
    }

    fn hex(text: &str) -> String {
        Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    #[test]
    fn the_extension_is_checked() {
        let hash = hex("{a}");
        assert_eq!(Persisted::read(&Map::new()), Ok(None));
        let right = extension(&json!({"version": 1, "sha256Hash": hash}));
        assert_eq!(Persisted::read(&right), Ok(Some(Persisted::of("{a}"))));
        let upper = extension(&json!({"version": 1, "sha256Hash": hash.to_uppercase()}));
        assert_eq!(Persisted::read(&upper), Ok(Some(Persisted::of("{a}"))));
        for wrong in [
            json!(1),
            json!({}),
            json!({"version": 2, "sha256Hash": hash}),
            json!({"version": "1", "sha256Hash": hash}),
            json!({"version": 1}),
            json!({"version": 1, "sha256Hash": "ü"}),
            json!({"version": 1, "sha256Hash": "ü".repeat(32)}),
            json!({"version": 1, "sha256Hash": &hash[1..]}),
            json!({"version": 1, "sha256Hash": "+f".repeat(32)}),
        ] {
            assert!(Persisted::read(&extension(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = PersistedOperations::new();
        let texts: Vec<String> = (0..1_000).map(|n| format!("{{a{n}}}{}", "#".repeat(64 * 1024))).collect();
        for text in &texts {
            kept.keep(Persisted::of(text), text.as_str().into());
        }
        assert!(kept.0.weight() <= KEPT_MAX, "{}", kept.0.weight());
        let found = texts.iter().filter(|text| kept.resolve(Persisted::of(text), None).is_ok()).count();
        assert!((1..=128).contains(&found), "{found}");
    }
}
