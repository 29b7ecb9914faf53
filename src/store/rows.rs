//! How values stand in rows: words of closed vocabularies, JSON texts, folded copies.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable},
};

use super::{
    error::{Result, StoreError},
    moment::{At, Moment},
};
use crate::domain::{
    fold::fold,
    test_report::{TestOutcome, TestProof, TestReport},
};

/// The longest folded copy, in bytes: an index of PostgreSQL takes no row over 2,704, and folding can
/// make a text many times longer.
const FOLDED_MAX: usize = 1_024;

/// A text without U+0000, which PostgreSQL does not store and vendors do send.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// [`storable`] of a text that may be missing.
pub(super) fn storable_or_none(text: Option<&str>) -> Option<String> {
    text.map(storable)
}

/// Reads a word of a closed vocabulary.
pub(super) fn word<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    parse(text).ok_or_else(|| StoreError::Corrupt(format!("`{text}` is not of its vocabulary")))
}

/// Reads a word that may be missing.
pub(super) fn word_or_none<T>(text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    text.map(|text| word(text, parse)).transpose()
}

/// Reads a count that the database keeps in a wider or signed type.
pub(super) fn count<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{value} is out of range")))
}

/// The beginning of a text, cut at a character.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

/// The form in which a text is searched and ordered.
pub(super) fn folded(text: &str) -> String {
    cut(&fold(&storable(text)), FOLDED_MAX)
}

/// The granted scopes as their order sees them.
pub(super) fn joined(scopes: &[String]) -> String {
    cut(&scopes.join(" "), FOLDED_MAX)
}

/// JSON text of a value that always has one.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and lists of them have a JSON text")
}

/// Reads JSON text.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A test report as its JSON text.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredTest {
    outcome: String,
    proof: String,
    vendor_account_id: Option<String>,
    vendor_account_name: Option<String>,
    missing_scopes: Vec<String>,
    vendor_error_code: Option<String>,
    detail: Option<String>,
    latency_ms: u32,
    tested_at: DateTime<Utc>,
}

/// JSON text of a test report.
pub(super) fn test_to_json(test: &TestReport) -> String {
    json(&StoredTest {
        outcome: test.outcome.as_str().to_owned(),
        proof: test.proof.as_str().to_owned(),
        vendor_account_id: test.vendor_account_id.clone(),
        vendor_account_name: test.vendor_account_name.clone(),
        missing_scopes: test.missing_scopes.clone(),
        vendor_error_code: test.vendor_error_code.clone(),
        detail: test.detail.clone(),
        latency_ms: test.latency_ms,
        tested_at: test.tested_at,
    })
}

/// Reads a test report.
pub(super) fn test_from_json(text: &str) -> Result<TestReport> {
    let stored: StoredTest = from_json(text)?;
    Ok(TestReport {
        outcome: word(&stored.outcome, TestOutcome::parse)?,
        proof: word(&stored.proof, TestProof::parse)?,
        vendor_account_id: stored.vendor_account_id,
        vendor_account_name: stored.vendor_account_name,
        missing_scopes: stored.missing_scopes,
        vendor_error_code: stored.vendor_error_code,
        detail: stored.detail,
        latency_ms: stored.latency_ms,
        tested_at: stored.tested_at,
    })
}

/// A number that a query gives.
#[derive(QueryableByName)]
pub(super) struct Number {
    #[diesel(sql_type = BigInt)]
    pub(super) number: i64,
}

/// Two numbers that a query gives.
#[derive(QueryableByName)]
pub(super) struct Pair {
    #[diesel(sql_type = BigInt)]
    pub(super) id: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) number: i64,
}

/// A time that a query gives.
#[derive(QueryableByName)]
pub(super) struct Time {
    #[diesel(sql_type = Nullable<Moment>)]
    pub(super) at: Option<At>,
}
