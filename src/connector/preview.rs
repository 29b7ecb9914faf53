//! What would be sent, as far as anybody may see it: the request of a delivery, built without its credential.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    delivery::{Event, build_marked},
    model::{Connector, Operation},
    placeholders::BuildError,
    request::CallContext,
    sign::SigningKeys,
    values::Values,
};
use crate::domain::{connector::AuthFlow, secret::SEALED};

/// A request with `[sealed]` in the place of every secret, of every value that came with a grant, and of whatever is
/// made of one: a signature, a pair of user and password, a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    pub method: String,
    pub url: String,
    /// In the order in which they are sent, names in lower case.
    pub headers: Vec<(String, String)>,
    /// `None` where there is none.
    pub body: Option<String>,
}

/// Builds the request of a delivery from what is shown of its connection. An optional secret counts as given.
///
/// # Errors
/// As [`super::build_delivery`].
pub fn preview_delivery(
    connector: &Arc<Connector>,
    flow: AuthFlow,
    operation: &Operation,
    event: &Event<'_>,
    configuration: &[(String, String)],
    message_id: &str,
    now: DateTime<Utc>,
) -> Result<Preview, BuildError> {
    let mark = mark(event, configuration);
    let mut values = Values::default();
    for (name, value) in configuration {
        values.set(name, &value.replace(SEALED, &mark), false);
    }
    let context = CallContext { values: &values, signing: &SigningKeys::default(), grant: None, now, message_id };
    let request = build_marked(connector, flow, operation, event, &context, Some(&mark))?;
    let shown = |text: &str| text.replace(&mark, SEALED);
    let header = |bytes: &[u8]| shown(&String::from_utf8_lossy(bytes));
    let headers = request.headers.iter().map(|(name, value)| (name.to_string(), header(value.as_bytes())));
    let body = request.body.expose();
    Ok(Preview {
        method: request.method.to_string(),
        url: shown(request.url.as_str()),
        headers: headers.collect(),
        body: (!body.is_empty()).then(|| shown(&String::from_utf8_lossy(body))),
    })
}

/// A word that stands nowhere in what the request is made of.
fn mark(event: &Event<'_>, configuration: &[(String, String)]) -> String {
    let payload = event.payload.to_string().to_lowercase();
    let texts = [event.event_type, event.event_identifier, event.module].map(str::to_lowercase);
    let taken = |word: &str| {
        payload.contains(word)
            || texts.iter().any(|text| text.contains(word))
            || configuration.iter().any(|(_, value)| value.to_lowercase().contains(word))
    };
    let words = (0_u32..).map(|number| format!("sealed{number}value"));
    // Texts are finite, and there are more words than could stand in them.
    words.into_iter().find(|word| !taken(word)).unwrap_or_default()
}
