//! No value breaks out of its place, whatever it is.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::json;

use super::{Connector, connector, deliver, sample};

static EVERYWHERE: LazyLock<Arc<Connector>> = LazyLock::new(|| {
    connector(&sample(
        "in = \"query\"\nname = \"token\"\nvalue = \"{field.key}\"",
        "a = { type = \"string\" }, o = { type = \"object\" }",
        "\"a\", \"o\"",
        concat!(
            "method = \"POST\"\nurl = \"/things/{payload.a}/x-{payload.a}/end\"\n",
            "headers = { X-Value = \"v {payload.a}\" }\nquery = { q = \"{payload.a}\", last = 1 }\n",
            "json = { text = \"<{payload.a}>\", alone = \"{payload.a}\", any = \"{payload.o}\", list = [\"{payload.a}\"] }",
        ),
    ))
});

static FORM: LazyLock<Arc<Connector>> = LazyLock::new(|| {
    connector(&sample(
        "in = \"form\"\nname = \"token\"\nvalue = \"{field.key}\"",
        "a = { type = \"string\" }, o = { type = \"object\" }",
        "\"a\"",
        "method = \"POST\"\nurl = \"/things\"\nform = { first = \"{payload.a}\", second = \"x{payload.a}\" }",
    ))
});

/// Any text, and often one that means something to a parser.
fn texts() -> impl Strategy<Value = String> {
    let sharp = prop::sample::select(vec![
        "..",
        ".",
        "%2e%2e",
        "/",
        "//evil.example",
        "?a=b",
        "#f",
        "\\",
        "@evil.example",
        ":",
        "%",
        "%00",
        "\0",
        "\r\n",
        "\n",
        "\t",
        "\"",
        "'",
        "&",
        "=",
        "+",
        " ",
        "{",
        "}",
        "{field.key}",
        "\",\"x\":\"",
        "é",
        "\u{2028}",
        "\u{202e}",
        "𝒳",
        "</script>",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(prop_oneof![sharp.prop_map(str::to_owned), "[a-z]{0,3}"], 0..5)
            .prop_map(|parts| parts.concat()),
    ]
}

/// What a path segment, a query or a form makes of it on the other side.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().expect("valid text").into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_path_query_header_and_json(value in texts(), key in "[!-~]{1,40}") {
        let payload = json!({"a": value, "o": {"deep": [value]}});
        match deliver(&EVERYWHERE, &[("key", key.as_str())], &payload) {
            Ok(request) => {
                prop_assert_eq!(request.url.origin().ascii_serialization(), "https://api.example.com");
                prop_assert!(request.url.username().is_empty() && request.url.password().is_none());
                prop_assert!(request.url.fragment().is_none());
                let segments: Vec<String> = request.url.path().split('/').map(decoded).collect();
                let second = format!("x-{value}");
                prop_assert_eq!(segments, vec!["", "v1", "things", &value, &second, "end"]);
                let pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
                let expected = [("q", value.as_str()), ("last", "1"), ("token", &key)].map(|(n, v)| (n.to_owned(), v.to_owned()));
                prop_assert_eq!(pairs, expected);
                prop_assert_eq!(request.headers.len(), 2);
                let header = format!("v {value}");
                prop_assert_eq!(request.headers["x-value"].as_bytes(), header.trim().as_bytes());
                let body: serde_json::Value = serde_json::from_slice(request.body.expose()).expect("JSON");
                let expected = json!({"text": format!("<{value}>"), "alone": value, "any": {"deep": [value]}, "list": [value]});
                prop_assert_eq!(body, expected);
            }
            // Only what no path or header can carry is refused.
            Err(_) => prop_assert!(
                value.is_empty() || matches!(value.as_str(), "." | "..") || value.chars().any(char::is_control),
                "{:?}", value
            ),
        }
    }

    #[test]
    fn in_a_form(value in texts(), key in "[!-~]{1,40}") {
        let request = deliver(&FORM, &[("key", key.as_str())], &json!({"a": value})).expect("a form carries any text");
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(request.body.expose()).into_owned().collect();
        let expected = [("first", value.clone()), ("second", format!("x{value}")), ("token", key)].map(|(n, v)| (n.to_owned(), v));
        prop_assert_eq!(pairs, expected);
        prop_assert_eq!(request.url.as_str(), "https://api.example.com/v1/things");
    }
}
