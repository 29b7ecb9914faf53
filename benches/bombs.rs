//! What it costs to refuse documents that are made to be costly: CPU time of the gateway, for documents as large as the
//! bound on tokens lets through, and of 1 MB. No document comes twice, so that no cache helps.

use std::fmt::Write as _;

use super::harness::{self, Client, Gateway, Setup, micros};

/// What a refusal may cost.
const REFUSED_WITHIN_MICROS: f64 = 2_000.0;
/// Below what a body may have, also where each of many quotes is written as two bytes.
const LARGE: usize = 900_000;
const TIMES: u32 = 200;

/// Makes a document of so many parts.
type Kind = (&'static str, fn(usize) -> String);

const KINDS: [Kind; 5] = [
    ("fragments that double each other", doubling),
    ("fragments that all name all others", meshed),
    ("a circle of fragments", circle),
    ("fields that may conflict in pairs", overlapping),
    ("fragments in each other's braces", nested),
];

/// Each fragment names the next twice: 2 to the power of `parts` fields.
fn doubling(parts: usize) -> String {
    let mut text = String::from("{ viewer { ...f0 } }");
    for n in 0..parts {
        let _ = write!(text, " fragment f{n} on Viewer {{ ...f{0} ...f{0} }}", n + 1);
    }
    let _ = write!(text, " fragment f{parts} on Viewer {{ __typename }}");
    text
}

/// Each fragment names all that follow it, as many as there is room for.
fn meshed(parts: usize) -> String {
    // So that as many spreads come out as there are parts.
    let count = (parts * 2).isqrt().max(2);
    let mut text = String::from("{ viewer { ...f0 } }");
    for n in 0..count {
        let _ = write!(text, " fragment f{n} on Viewer {{ __typename");
        for other in n + 1..count {
            let _ = write!(text, " ...f{other}");
        }
        text.push_str(" }");
    }
    text
}

/// The last fragment names the first.
fn circle(parts: usize) -> String {
    let mut text = String::from("{ viewer { ...f0 } }");
    for n in 0..parts {
        let _ = write!(text, " fragment f{n} on Viewer {{ ...f{} }}", (n + 1) % parts);
    }
    text
}

/// Many fields of one response key, each with other arguments, in fragments of their own.
fn overlapping(parts: usize) -> String {
    let mut text = String::from("{");
    for n in 0..parts {
        let _ = write!(text, " ...{{ a: connection(id: \"{n}\") {{ id }} }}");
    }
    text.push_str(" }");
    text
}

/// Inline fragments below each other.
fn nested(parts: usize) -> String {
    format!("{{ viewer {}__typename{} }}", "{ ...".repeat(parts) + "{ ", " }".repeat(parts + 1))
}

/// The document of a kind that is as large as the test says, by halving.
fn fitting(kind: fn(usize) -> String, fits: impl Fn(&str) -> bool) -> String {
    let mut parts = 2;
    while fits(&kind(parts * 2)) {
        parts *= 2;
    }
    let mut step = parts / 2;
    while step > 0 {
        if fits(&kind(parts + step)) {
            parts += step;
        }
        step /= 2;
    }
    kind(parts)
}

/// About how many tokens a text has: words and braces.
fn tokens(text: &str) -> usize {
    text.matches(['{', '}', '(', ')', ':']).count()
        + text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()
        + text.matches("...").count()
}

pub fn run() -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::start(&Setup::on_sqlite(directory.path()));
    gateway.ask("{ viewer { __typename } }");
    for (name, kind) in KINDS {
        let within = fitting(kind, |text| tokens(text) < 2_400 && text.len() < 60_000);
        let large = fitting(kind, |text| text.len() < LARGE);
        for text in [within, large] {
            let (cpu, limit) = refuse(&gateway, &text);
            let what = format!("{name}, {} bytes, refused for {limit}", text.len());
            harness::at_most(&what, cpu, ("bound", REFUSED_WITHIN_MICROS), 1.0, "µs");
        }
    }
    true
}

/// What one refusal costs, and what for.
fn refuse(gateway: &Gateway, text: &str) -> (f64, String) {
    let mut client = Client::connect(&gateway.process.address);
    let mut reason = String::new();
    let requests: Vec<_> = (0..TIMES).map(|n| gateway.request(&format!("{text} # {n}"))).collect();
    let before = gateway.process.cpu();
    for request in &requests {
        let answer: serde_json::Value = serde_json::from_slice(client.send(request).body).expect("JSON");
        let error = &answer["errors"][0];
        assert!(answer["data"].is_null() && error.is_object(), "not refused: {answer}");
        let why = error["extensions"]["limit"].as_str().or(error["message"].as_str()).unwrap_or_default();
        reason = why.chars().take(60).collect();
    }
    (micros(gateway.process.cpu().saturating_sub(before)) / f64::from(TIMES), reason)
}
