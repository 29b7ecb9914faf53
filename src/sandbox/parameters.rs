//! Parameters of a query or a form, as RFC 6749 has them: none twice, and an empty one is none.

use axum::body::{Body, to_bytes};
use http::{HeaderMap, header};

/// The longest query and the longest form, in bytes.
const LENGTH_MAX: usize = 16 * 1024;

/// The names and values of one request.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn from_query(query: &str) -> Result<Self, String> {
        if query.len() > LENGTH_MAX {
            return Err(format!("the query is longer than {LENGTH_MAX} bytes"));
        }
        Ok(Self::parse(query.as_bytes()))
    }

    pub(super) async fn from_form(headers: &HeaderMap, body: Body) -> Result<Self, String> {
        if media_type(headers) != "application/x-www-form-urlencoded" {
            return Err("the body must be application/x-www-form-urlencoded".to_owned());
        }
        Ok(Self::parse(&read(body, LENGTH_MAX).await?))
    }

    fn parse(bytes: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(bytes).filter(|(_, value)| !value.is_empty());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The members of a JSON object, whose values are texts and whole numbers.
    pub(super) async fn from_json(body: Body) -> Result<Self, String> {
        let wrong = || "the body must be a JSON object of texts and numbers".to_owned();
        let bytes = read(body, LENGTH_MAX).await?;
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => Ok(text),
            serde_json::Value::Number(number) => Ok(number.to_string()),
            _ => Err(wrong()),
        };
        Ok(Self(members.into_iter().map(|(name, value)| Ok((name, text(value)?))).collect::<Result<_, String>>()?))
    }

    /// A parameter that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, String> {
        let mut found = self.all(name);
        let first = found.next();
        if found.next().is_some() { Err(format!("{name} is given twice")) } else { Ok(first) }
    }

    /// A parameter that must be given once.
    pub(super) fn need(&self, name: &str) -> Result<&str, String> {
        self.one(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    /// A parameter that may be given several times: boxes to tick.
    pub(super) fn all<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        let name = name.to_owned();
        self.0.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The first name that is none of these.
    pub(super) fn stranger(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !known.contains(name))
    }
}

/// The media type of a body, without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body of at most so many bytes.
pub(super) async fn read(body: Body, max: usize) -> Result<Vec<u8>, String> {
    let bytes = to_bytes(body, max).await.map_err(|_| format!("the body broke off, or is longer than {max} bytes"))?;
    Ok(bytes.to_vec())
}
