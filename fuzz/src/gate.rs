//! The gate before the real schema, under any bytes: `make fuzz` looks for inputs with libFuzzer, and every test run
//! changes those of `fuzz/corpus/gate` for a while.

use std::sync::LazyLock;

use integrations_gateway::graphql::{DocumentLimits, Gate, Introspection, sdl};

static GATE: LazyLock<Gate> = LazyLock::new(|| Gate::new(&sdl(), DocumentLimits::default(), Introspection::On));

/// All that a document can be told before it runs.
const CODES: [&str; 5] = [
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "OPERATION_RESOLUTION_FAILURE",
    "LIMIT_EXCEEDED",
    "BAD_USER_INPUT",
];

/// Judges a document, with what stands behind a zero byte as the variables.
///
/// # Panics
/// Where the gate does, or says something that it must not.
pub fn run(input: &[u8]) {
    let (document, variables) = match input.iter().position(|byte| *byte == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[][..]),
    };
    let Ok(document) = std::str::from_utf8(document) else { return };
    let variables: serde_json::Map<_, _> = serde_json::from_slice(variables).unwrap_or_default();
    let first = GATE.judge(document, None, variables.clone());
    let again = GATE.judge(document, None, variables);
    match (&first, &again) {
        (Ok(()), Ok(())) => {}
        (Err(first), Err(again)) => {
            assert!(!first.is_empty(), "a refusal says nothing");
            let same = first.iter().map(|error| &error.message).eq(again.iter().map(|error| &error.message));
            assert!(same, "asked again, the gate says something else: {again:?}");
            for error in first {
                let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
                let code = code.map(ToString::to_string).unwrap_or_default();
                assert!(CODES.contains(&code.trim_matches('"')), "{code}: {}", error.message);
            }
        }
        _ => panic!("asked again, the gate judges differently"),
    }
}
