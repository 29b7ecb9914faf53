//! What clients are bounded by: the settings of that kind, with their defaults and the values that they may take.

use clap::Args;

use super::{
    check::{Faults, or},
    values,
};
use crate::{graphql::DocumentLimits, web::Rate};

/// What clients are bounded by, as it is set.
#[derive(Args, Clone)]
pub struct LimitArguments {
    /// The largest body of a request and message on a socket, in bytes, KiB or MiB
    #[arg(long, env = "GATEWAY_MAX_BODY", hide_env_values = true, value_name = "SIZE", default_value = "1MiB")]
    pub max_body: String,
    /// The largest payload of an event, in bytes, KiB or MiB
    #[arg(long, env = "GATEWAY_MAX_PAYLOAD", hide_env_values = true, value_name = "SIZE", default_value = "256KiB")]
    pub max_payload: String,
    /// The most events that wait for one connection
    #[arg(long, env = "GATEWAY_MAX_QUEUED", hide_env_values = true, value_name = "NUMBER", default_value = "1000000")]
    pub max_queued: String,
    /// The longest GraphQL document, in bytes, KiB or MiB
    #[arg(long, env = "GATEWAY_MAX_DOCUMENT", hide_env_values = true, value_name = "SIZE", default_value = "64KiB")]
    pub max_document: String,
    /// The most tokens of a GraphQL document
    #[arg(long, env = "GATEWAY_MAX_TOKENS", hide_env_values = true, value_name = "NUMBER", default_value = "2500")]
    pub max_tokens: String,
    /// The most fields below each other in a GraphQL document
    #[arg(long, env = "GATEWAY_MAX_DEPTH", hide_env_values = true, value_name = "NUMBER", default_value = "20")]
    pub max_depth: String,
    /// The most that an operation may cost: a field counts 1, once for each row that its page may have
    #[arg(long, env = "GATEWAY_MAX_COST", hide_env_values = true, value_name = "NUMBER", default_value = "20000")]
    pub max_cost: String,
    /// Sockets and event streams of one caller at a time
    #[arg(long, env = "GATEWAY_MAX_SOCKETS", hide_env_values = true, value_name = "NUMBER", default_value = "100")]
    pub max_sockets: String,
    /// Operations at a time on one socket
    #[arg(
        long,
        env = "GATEWAY_MAX_SUBSCRIPTIONS",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value = "100"
    )]
    pub max_subscriptions: String,
    /// The most connections, sockets among them; at most three quarters of the files that the process may open
    #[arg(
        long,
        env = "GATEWAY_MAX_CONNECTIONS",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value = "10000"
    )]
    pub max_connections: String,
    /// The most connections from one address; those of `GATEWAY_TRUSTED_PROXIES` count in all only
    #[arg(
        long,
        env = "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value = "1000"
    )]
    pub max_connections_per_address: String,
    /// Operations of one caller: a number for each s, m or h, which may also come all at once; or `off`
    #[arg(long, env = "GATEWAY_RATE_LIMIT", hide_env_values = true, value_name = "RATE", default_value = "200/s")]
    pub rate_limit: String,
    /// Requests and handshakes from one address, as above; behind a proxy see `GATEWAY_TRUSTED_PROXIES`
    #[arg(
        long,
        env = "GATEWAY_ADDRESS_RATE_LIMIT",
        hide_env_values = true,
        value_name = "RATE",
        default_value = "1000/s"
    )]
    pub address_rate_limit: String,
}

/// What clients are bounded by.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body of a request and message on a socket, in bytes.
    pub max_body: usize,
    /// The largest payload of an event, in bytes of JSON.
    pub max_payload: usize,
    /// The most events that wait for one connection.
    pub max_queued: u32,
    pub documents: DocumentLimits,
    /// Sockets and event streams of one caller at a time.
    pub max_sockets: usize,
    /// Operations at a time on one socket.
    pub max_subscriptions: usize,
    /// Connections in all.
    pub max_connections: usize,
    /// Connections from one address that is no trusted proxy's.
    pub max_connections_per_address: usize,
    /// Operations of one caller; `None`: as many as it likes.
    pub rate: Option<Rate>,
    /// Requests and handshakes from one address; `None`: as many as it likes.
    pub address_rate: Option<Rate>,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Checks them all.
pub(super) fn check(arguments: &LimitArguments, faults: &mut Faults) -> Option<Limits> {
    let mut size =
        |name, text: &str, default, bounds| faults.note(name, default, values::size(or(text, default), bounds));
    let max_body = size("GATEWAY_MAX_BODY", &arguments.max_body, "1MiB", KIB..=64 * MIB);
    let max_payload = size("GATEWAY_MAX_PAYLOAD", &arguments.max_payload, "256KiB", KIB..=16 * MIB);
    let bytes = size("GATEWAY_MAX_DOCUMENT", &arguments.max_document, "64KiB", KIB..=MIB);
    let mut number =
        |name, text: &str, default, bounds| faults.note(name, default, values::number(or(text, default), bounds));
    let max_queued = number("GATEWAY_MAX_QUEUED", &arguments.max_queued, "1000000", 1..=100_000_000);
    let tokens = number("GATEWAY_MAX_TOKENS", &arguments.max_tokens, "2500", 100..=100_000);
    let depth = number("GATEWAY_MAX_DEPTH", &arguments.max_depth, "20", 5..=40);
    let cost = number("GATEWAY_MAX_COST", &arguments.max_cost, "20000", 100..=10_000_000);
    let max_sockets = number("GATEWAY_MAX_SOCKETS", &arguments.max_sockets, "100", 1..=100_000);
    let max_subscriptions = number("GATEWAY_MAX_SUBSCRIPTIONS", &arguments.max_subscriptions, "100", 1..=10_000);
    let max_connections = number("GATEWAY_MAX_CONNECTIONS", &arguments.max_connections, "10000", 10..=1_000_000);
    let of_address = &arguments.max_connections_per_address;
    let of_address = number("GATEWAY_MAX_CONNECTIONS_PER_ADDRESS", of_address, "1000", 1..=1_000_000);
    let mut rate = |name, text: &str, default| faults.note(name, default, rate(or(text, default)));
    let caller_rate = rate("GATEWAY_RATE_LIMIT", &arguments.rate_limit, "200/s");
    let address_rate = rate("GATEWAY_ADDRESS_RATE_LIMIT", &arguments.address_rate_limit, "1000/s");
    let documents =
        DocumentLimits { bytes: bytes?, tokens: tokens? as usize, depth: depth?.into(), cost: cost?.into() };
    Some(Limits {
        max_body: max_body?,
        max_payload: max_payload?,
        max_queued: max_queued?,
        documents,
        max_sockets: max_sockets? as usize,
        max_subscriptions: max_subscriptions? as usize,
        max_connections: max_connections? as usize,
        max_connections_per_address: of_address? as usize,
        rate: caller_rate?,
        address_rate: address_rate?,
    })
}

/// `200/s`, `3000/m`, `off`.
fn rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" {
        return Ok(None);
    }
    let (count, unit) = text.split_once('/').ok_or_else(|| format!("{text:?} is neither off nor a rate"))?;
    let count: u32 = count
        .parse()
        .ok()
        .filter(|count| (1..=1_000_000).contains(count))
        .ok_or_else(|| format!("{count:?} is not a number from 1 to 1000000"))?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(format!("{unit:?} is none of s, m and h")),
    };
    Ok(Some(Rate { count, seconds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        assert_eq!(rate("off"), Ok(None));
        assert_eq!(rate("200/s"), Ok(Some(Rate { count: 200, seconds: 1 })));
        assert_eq!(rate("3000/m"), Ok(Some(Rate { count: 3_000, seconds: 60 })));
        for wrong in ["", "on", "0/s", "200", "200/d", "-1/s", "1000001/s", "1.5/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
