//! Opaque ids: what kind of thing, and which one.

use async_graphql::ID;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    domain::id::{ActivityId, ConnectionId, DeliveryId, EntryId, RetryBatchId},
    service::Failure,
};

/// What an id can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Connector(String),
    Connection(ConnectionId),
    Delivery(DeliveryId),
    Entry(EntryId),
    Activity(ActivityId),
    RetryBatch(RetryBatchId),
    Offer(String),
    Authorization(String),
}

/// The longest id that is read: slugs and tokens are shorter.
const ID_MAX: usize = 200;

impl Named {
    /// The id as clients see it.
    pub fn to_id(&self) -> ID {
        let text = match self {
            Self::Connector(slug) => format!("connector:{slug}"),
            Self::Connection(id) => format!("connection:{id}"),
            Self::Delivery(id) => format!("delivery:{id}"),
            Self::Entry(id) => format!("entry:{id}"),
            Self::Activity(id) => format!("activity:{id}"),
            Self::RetryBatch(id) => format!("retry_batch:{id}"),
            Self::Offer(token) => format!("offer:{token}"),
            Self::Authorization(token) => format!("authorization:{token}"),
        };
        ID(URL_SAFE_NO_PAD.encode(text))
    }

    /// Reads an id; `None` for anything that [`Self::to_id`] does not give.
    pub fn parse(id: &ID) -> Option<Self> {
        if id.len() > ID_MAX {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_bytes()).ok()?).ok()?;
        let (kind, rest) = text.split_once(':')?;
        // One spelling only: no sign, no leading zeros.
        let number = || rest.parse::<i64>().ok().filter(|n| *n > 0 && n.to_string() == rest);
        match kind {
            "connector" => Some(Self::Connector(rest.to_owned())),
            "connection" => number().map(|n| Self::Connection(ConnectionId(n))),
            "delivery" => number().map(|n| Self::Delivery(DeliveryId(n))),
            "entry" => number().map(|n| Self::Entry(EntryId(n))),
            "retry_batch" => number().map(|n| Self::RetryBatch(RetryBatchId(n))),
            "activity" => number().map(|n| Self::Activity(ActivityId(n))),
            "offer" => Some(Self::Offer(rest.to_owned())),
            "authorization" => Some(Self::Authorization(rest.to_owned())),
            _ => None,
        }
    }
}

fn wrong(field: &str, kind: &str) -> Failure {
    Failure::bad_input(field, format!("is not the id of a {kind}"))
}

/// The connection that an argument names.
pub(super) fn connection(field: &str, id: &ID) -> Result<ConnectionId, Failure> {
    match Named::parse(id) {
        Some(Named::Connection(id)) => Ok(id),
        _ => Err(wrong(field, "connection")),
    }
}

/// The connections that an argument names.
pub(super) fn connections(field: &str, ids: Option<Vec<ID>>) -> Result<Option<Vec<ConnectionId>>, Failure> {
    ids.map(|ids| ids.iter().map(|id| connection(field, id)).collect()).transpose()
}

/// The delivery that an argument names.
pub(super) fn delivery(field: &str, id: &ID) -> Result<DeliveryId, Failure> {
    match Named::parse(id) {
        Some(Named::Delivery(id)) => Ok(id),
        _ => Err(wrong(field, "delivery")),
    }
}

/// The delivery entry that an argument names.
pub(super) fn entry(field: &str, id: &ID) -> Result<EntryId, Failure> {
    match Named::parse(id) {
        Some(Named::Entry(id)) => Ok(id),
        _ => Err(wrong(field, "delivery entry")),
    }
}

/// The signing offer that an argument names.
pub(super) fn offer(field: &str, id: &ID) -> Result<String, Failure> {
    match Named::parse(id) {
        Some(Named::Offer(token)) => Ok(token),
        _ => Err(wrong(field, "signing offer")),
    }
}

/// The id of the authorization of this name, as clients see it.
#[must_use]
pub fn authorization_id(token: &str) -> String {
    Named::Authorization(token.to_owned()).to_id().to_string()
}

/// The authorization that an argument names.
pub(super) fn authorization(field: &str, id: &ID) -> Result<String, Failure> {
    match Named::parse(id) {
        Some(Named::Authorization(token)) => Ok(token),
        _ => Err(wrong(field, "authorization")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn an_id_is_read_as_it_was_written(n in 1_i64.., slug in "[a-z_]{1,40}") {
            for named in [Named::Connection(ConnectionId(n)), Named::Delivery(DeliveryId(n)), Named::Entry(EntryId(n)),
                Named::Activity(ActivityId(n)), Named::Connector(slug.clone()), Named::Offer(slug.clone()),
                Named::Authorization(slug.clone())] {
                prop_assert_eq!(Named::parse(&named.to_id()), Some(named));
            }
        }

        #[test]
        fn garbage_is_no_id(text in ".{0,60}") {
            if let Some(named) = Named::parse(&ID(text.clone())) {
                prop_assert_eq!(named.to_id().to_string(), text);
            }
        }
    }

    #[test]
    fn one_spelling_only() {
        for text in [
            "connection:01",
            "connection:+1",
            "connection:0",
            "connection:-1",
            "connection:",
            "nothing:1",
            "connection",
        ] {
            assert_eq!(Named::parse(&ID(URL_SAFE_NO_PAD.encode(text))), None, "{text}");
        }
    }
}
