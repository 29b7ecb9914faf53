//! The parameters of a GraphQL request, as a POST's body, a GET's query or a socket's `subscribe` carries
//! them (GraphQL over HTTP, "Request Parameters").

use serde_json::{Map, Value};

use crate::graphql::{Incoming, Persisted};

/// Reads the body of a POST.
///
/// # Errors
/// What is wrong with it, in words for whoever wrote the client.
pub(super) fn from_body(body: &[u8]) -> Result<Incoming, String> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => from_object(object),
        Ok(Value::Array(_)) => Err("Batches are not taken: send one request at a time.".to_owned()),
        Ok(_) => Err("The body must be a JSON object.".to_owned()),
        Err(error) => Err(format!("The body is not JSON: line {}, column {}.", error.line(), error.column())),
    }
}

/// Reads the query string of a GET.
///
/// # Errors
/// As [`from_body`].
pub(super) fn from_query(query: &str) -> Result<Incoming, String> {
    let mut object = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let value = match &*name {
            "query" | "operationName" => Value::String(value.into_owned()),
            "variables" | "extensions" => {
                serde_json::from_str(&value).map_err(|_| format!("Parameter \"{name}\" is not JSON."))?
            }
            _ => continue,
        };
        if object.insert(name.clone().into_owned(), value).is_some() {
            return Err(format!("Parameter \"{name}\" is given twice."));
        }
    }
    from_object(object)
}

/// Reads the payload of a `subscribe` message, or what the two above have read.
///
/// # Errors
/// As [`from_body`].
pub(super) fn from_object(mut object: Map<String, Value>) -> Result<Incoming, String> {
    let mut take = |name: &str| object.remove(name).filter(|value| !value.is_null());
    let document = text("query", take("query"))?;
    let operation_name = text("operationName", take("operationName"))?;
    let variables = map("variables", take("variables"))?;
    let persisted = Persisted::read(&map("extensions", take("extensions"))?)?;
    if document.is_none() && persisted.is_none() {
        return Err("Parameter \"query\" is missing.".to_owned());
    }
    Ok(Incoming { document, persisted, operation_name, variables })
}

fn text(name: &str, value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("Parameter \"{name}\" must be a string.")),
    }
}

fn map(name: &str, value: Option<Value>) -> Result<Map<String, Value>, String> {
    match value {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(format!("Parameter \"{name}\" must be an object.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_type_checked() {
        for (body, fault) in [
            (r#"{"query":"{a}"}"#, None),
            (r#"{"query":"{a}","operationName":null,"variables":null,"extensions":null,"id":7}"#, None),
            (r#"{"query":"{a}","operationName":"A","variables":{"x":[1]},"extensions":{"y":{}}}"#, None),
            (r"{}", Some("Parameter \"query\" is missing.")),
            (r#"{"query":null}"#, Some("Parameter \"query\" is missing.")),
            (r#"{"query":1}"#, Some("Parameter \"query\" must be a string.")),
            (r#"{"query":"{a}","operationName":1}"#, Some("Parameter \"operationName\" must be a string.")),
            (r#"{"query":"{a}","variables":"{}"}"#, Some("Parameter \"variables\" must be an object.")),
            (r#"{"query":"{a}","variables":[]}"#, Some("Parameter \"variables\" must be an object.")),
            (r#"{"query":"{a}","extensions":1}"#, Some("Parameter \"extensions\" must be an object.")),
            (
                r#"{"query":"{a}","extensions":{"persistedQuery":{}}}"#,
                Some("Extension \"persistedQuery\" must have the version 1."),
            ),
            (r#"[{"query":"{a}"}]"#, Some("Batches are not taken: send one request at a time.")),
            (r"[]", Some("Batches are not taken: send one request at a time.")),
            ("7", Some("The body must be a JSON object.")),
            ("", Some("The body is not JSON: line 1, column 0.")),
            ("{\n\"query\": }", Some("The body is not JSON: line 2, column 10.")),
        ] {
            assert_eq!(from_body(body.as_bytes()).err().as_deref(), fault, "{body}");
        }
        assert!(from_body("[".repeat(100_000).as_bytes()).is_err(), "nested deep");
        assert!(from_body(b"{\"query\":\"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn a_query_string_says_the_same_as_a_body() {
        let query = "query=%7Ba%7D&operationName=A&variables=%7B%22x%22%3A1%7D&unknown=1&extensions={}";
        let body = br#"{"query":"{a}","operationName":"A","variables":{"x":1},"extensions":{}}"#;
        assert_eq!(from_query(query), from_body(body));
        for wrong in ["", "query=a&query=b", "query=a&variables=", "query=a&variables=[]", "query=a&extensions=x"] {
            assert!(from_query(wrong).is_err(), "{wrong}");
        }
    }
}
