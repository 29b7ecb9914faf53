//! When a vendor wants to be asked again.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::{
    answer::{Read, captured},
    model::{HintPlace, HintUnit, RetryHint, Rule},
};

/// How long to wait: `Retry-After` first (RFC 9110, 10.2.3), then the manifest's own hints.
pub(super) fn after(hints: &[RetryHint], read: &Read<'_>, now: DateTime<Utc>) -> Option<Duration> {
    let usual = read.header("retry-after").and_then(|text| retry_after(&text, now));
    usual.or_else(|| hints.iter().find_map(|hint| hinted(hint, read, now)))
}

/// How long to wait, or how long the rule says where the vendor does not.
pub(super) fn wait(hints: &[RetryHint], rule: Option<&Rule>, read: &Read<'_>, now: DateTime<Utc>) -> Option<Duration> {
    after(hints, read, now).or_else(|| rule?.wait.map(|seconds| Duration::from_secs(seconds.into())))
}

fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    Some((http_date(text)? - now).to_std().unwrap_or_default())
}

/// The three forms of an HTTP date (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|time| time.and_utc())
}

fn hinted(hint: &RetryHint, read: &Read<'_>, now: DateTime<Utc>) -> Option<Duration> {
    let text = match &hint.place {
        HintPlace::Header(name) => read.header(name.as_str())?,
        HintPlace::Json(pointer) => read.text_at(pointer)?,
    };
    let text = match &hint.pattern {
        None => text.trim(),
        Some(pattern) => captured(pattern, &text)?,
    };
    if hint.unit == HintUnit::Time {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        return Some((time.to_utc() - now).to_std().unwrap_or_default());
    }
    let number: f64 = text.parse().ok()?;
    let seconds = match hint.unit {
        HintUnit::Time => return None,
        HintUnit::Seconds => number,
        HintUnit::Milliseconds => number / 1_000.0,
        #[expect(clippy::cast_precision_loss, reason = "a number of seconds that a float holds for 285 million years")]
        HintUnit::UnixSeconds => (number - now.timestamp() as f64).max(0.0),
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use regex::Regex;

    use super::*;
    use crate::domain::exchange::Answer;

    fn wait(headers: &[(&'static str, &'static str)], body: &str, hints: &[RetryHint]) -> Option<u64> {
        let pairs = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        let headers: HeaderMap = pairs.collect();
        let answer = Answer { status: 429, headers, body: body.into(), truncated: false, latency: Duration::ZERO };
        let now = DateTime::from_timestamp(784_111_777, 0).unwrap();
        after(hints, &Read::new(&answer), now).map(|wait| wait.as_secs())
    }

    #[test]
    fn reads_seconds_and_dates() {
        for (text, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(wait(&[("retry-after", text)], "", &[]), seconds, "{text}");
        }
    }

    #[test]
    fn reads_the_manifests_own_hints() {
        let header =
            |unit| RetryHint { place: HintPlace::Header(HeaderName::from_static("x-reset")), pattern: None, unit };
        let body = |unit| RetryHint { place: HintPlace::Json("/wait".into()), pattern: None, unit };
        assert_eq!(wait(&[("x-reset", "30")], "", &[header(HintUnit::Seconds)]), Some(30));
        assert_eq!(wait(&[("x-reset", "30000")], "", &[header(HintUnit::Milliseconds)]), Some(30));
        assert_eq!(wait(&[("x-reset", "784111800")], "", &[header(HintUnit::UnixSeconds)]), Some(23));
        assert_eq!(wait(&[], r#"{"wait": 2.5}"#, &[body(HintUnit::Seconds)]), Some(2));
        assert_eq!(wait(&[("retry-after", "9")], r#"{"wait": 2}"#, &[body(HintUnit::Seconds)]), Some(9));
        let within = |pattern: &str, unit| RetryHint { pattern: Some(Regex::new(pattern).unwrap()), ..body(unit) };
        let text = r#"{"wait": "Too fast. Retry after 1994-11-06T08:50:37Z, or in 12 s"}"#;
        assert_eq!(wait(&[], text, &[within("Retry after ([^ ,]+)", HintUnit::Time)]), Some(60));
        assert_eq!(wait(&[], text, &[within("in ([0-9]+) s", HintUnit::Seconds)]), Some(12));
        assert_eq!(wait(&[], text, &[within("not (there)", HintUnit::Time), body(HintUnit::Time)]), None);
        for nonsense in [r#"{"wait": -1}"#, r#"{"wait": "NaN"}"#, r#"{"wait": 1e300}"#, "{}", ""] {
            assert_eq!(wait(&[], nonsense, &[body(HintUnit::Seconds)]), None, "{nonsense}");
        }
    }
}
