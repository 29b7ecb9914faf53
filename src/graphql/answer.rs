//! Answers as JSON.
//!
//! The library's serializer cannot write rows that have written themselves ([`plain`](super::plain)): they lie in the
//! answer as [`Value::Binary`], which nothing else in this schema makes.

use async_graphql::{Response, Value};

use super::plain::write;

/// Whether the request was refused before its execution began: a request error by the specification
/// (GraphQL, section 7.1.3), as opposed to a field's error, which has a path.
#[must_use]
pub fn is_request_error(response: &Response) -> bool {
    !response.errors.is_empty()
        && response.data == Value::Null
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Whether the library can write the answer too.
#[must_use]
pub fn is_plain(response: &Response) -> bool {
    fn has_rows(value: &Value) -> bool {
        match value {
            Value::Binary(_) => true,
            Value::List(items) => items.iter().any(has_rows),
            Value::Object(fields) => fields.values().any(has_rows),
            _ => false,
        }
    }
    !has_rows(&response.data)
}

/// The answer as it goes out: `data` is left out where the request was never executed.
#[must_use]
pub fn to_json(response: &Response) -> Vec<u8> {
    let mut out = vec![b'{'];
    // First, as the specification recommends (GraphQL, section 7.1).
    if !response.errors.is_empty() {
        next(&mut out, "\"errors\":");
        write(&response.errors, &mut out);
    }
    if !is_request_error(response) {
        next(&mut out, "\"data\":");
        write_value(&response.data, &mut out);
    }
    if !response.extensions.is_empty() {
        next(&mut out, "\"extensions\":");
        write(&response.extensions, &mut out);
    }
    out.push(b'}');
    out
}

fn next(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(key.as_bytes());
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(yes) => write(yes, out),
        Value::Number(number) => write(number, out),
        Value::String(text) => write(text, out),
        Value::Enum(name) => write(&name.as_str(), out),
        Value::Binary(json) => out.extend_from_slice(json),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            out.push(b'{');
            for (at, (key, field)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(&key.as_str(), out);
                out.push(b':');
                write_value(field, out);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::ServerError;
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            (-1e9..1e9).prop_map(serde_json::Value::from),
            ".{0,12}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::vec((".{0,6}", inner), 0..5)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_answer_is_what_the_library_would_write(data in values(), failed: bool) {
            let mut response = Response::new(Value::from_json(data).expect("a value"));
            if failed {
                let path = vec![async_graphql::PathSegment::Field("a".into())];
                response.errors = vec![ServerError { path, ..ServerError::new("it \"failed\"", None) }];
            }
            let ours = String::from_utf8(to_json(&response)).expect("text");
            prop_assert_eq!(ours, serde_json::to_string(&response).expect("JSON"));
        }
    }

    #[test]
    fn rows_go_out_as_they_are() {
        let fields = [("a", Value::Binary("[1]".into())), ("b", Value::from(2))];
        let data =
            Value::Object(fields.into_iter().map(|(key, value)| (async_graphql::Name::new(key), value)).collect());
        let response = Response::new(data);
        assert_eq!(to_json(&response), br#"{"data":{"a":[1],"b":2}}"#);
        assert!(!is_plain(&response));
    }

    #[test]
    fn a_request_error_has_no_data() {
        let response = Response::from_errors(vec![ServerError::new("no", None)]);
        assert_eq!(to_json(&response), br#"{"errors":[{"message":"no"}]}"#);
    }
}
