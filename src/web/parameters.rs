//! The parameters of a GraphQL request, as a POST's body, a GET's query or a socket's `subscribe` carries
//! them (GraphQL over HTTP, "Request Parameters").

use async_graphql::{Request, Variables};
use serde_json::{Map, Value};

/// A well-formed set of parameters.
#[derive(Debug, PartialEq)]
pub(crate) struct Parameters {
    query: String,
    operation_name: Option<String>,
    variables: Option<Map<String, Value>>,
    extensions: Option<Map<String, Value>>,
}

impl Parameters {
    /// Reads the body of a POST.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever wrote the client.
    pub(super) fn from_body(body: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Self::from_object(object),
            Ok(Value::Array(_)) => Err("Batches are not taken: send one request at a time.".to_owned()),
            Ok(_) => Err("The body must be a JSON object.".to_owned()),
            Err(error) => Err(format!("The body is not JSON: line {}, column {}.", error.line(), error.column())),
        }
    }

    /// Reads the query string of a GET.
    ///
    /// # Errors
    /// As [`Self::from_body`].
    pub(super) fn from_query(query: &str) -> Result<Self, String> {
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
        Self::from_object(object)
    }

    /// Reads the payload of a `subscribe` message, or what the two above have read.
    ///
    /// # Errors
    /// As [`Self::from_body`].
    pub(super) fn from_object(mut object: Map<String, Value>) -> Result<Self, String> {
        let mut take = |name: &str| object.remove(name).filter(|value| !value.is_null());
        Ok(Self {
            query: match take("query") {
                Some(Value::String(query)) => query,
                Some(_) => return Err("Parameter \"query\" must be a string.".to_owned()),
                None => return Err("Parameter \"query\" is missing.".to_owned()),
            },
            operation_name: match take("operationName") {
                Some(Value::String(name)) => Some(name),
                Some(_) => return Err("Parameter \"operationName\" must be a string.".to_owned()),
                None => None,
            },
            variables: map("variables", take("variables"))?,
            extensions: map("extensions", take("extensions"))?,
        })
    }

    /// The request for the executor.
    pub(super) fn into_request(self) -> Request {
        let mut request = Request::new(self.query);
        request.operation_name = self.operation_name;
        request.variables = Variables::from_json(Value::Object(self.variables.unwrap_or_default()));
        for (name, value) in self.extensions.unwrap_or_default() {
            // Every JSON value is a GraphQL value.
            request.extensions.insert(name, async_graphql::Value::from_json(value).unwrap_or_default());
        }
        request
    }
}

fn map(name: &str, value: Option<Value>) -> Result<Option<Map<String, Value>>, String> {
    match value {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
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
            (r#"[{"query":"{a}"}]"#, Some("Batches are not taken: send one request at a time.")),
            (r"[]", Some("Batches are not taken: send one request at a time.")),
            ("7", Some("The body must be a JSON object.")),
            ("", Some("The body is not JSON: line 1, column 0.")),
            ("{\n\"query\": }", Some("The body is not JSON: line 2, column 10.")),
        ] {
            assert_eq!(Parameters::from_body(body.as_bytes()).err().as_deref(), fault, "{body}");
        }
        assert!(Parameters::from_body("[".repeat(100_000).as_bytes()).is_err(), "nested deep");
        assert!(Parameters::from_body(b"{\"query\":\"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn a_query_string_says_the_same_as_a_body() {
        let query = "query=%7Ba%7D&operationName=A&variables=%7B%22x%22%3A1%7D&unknown=1&extensions={}";
        let body = br#"{"query":"{a}","operationName":"A","variables":{"x":1},"extensions":{}}"#;
        assert_eq!(Parameters::from_query(query), Parameters::from_body(body));
        for wrong in ["", "query=a&query=b", "query=a&variables=", "query=a&variables=[]", "query=a&extensions=x"] {
            assert!(Parameters::from_query(wrong).is_err(), "{wrong}");
        }
    }
}
