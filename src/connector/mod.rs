//! The connector library: what the house knows of vendors, all of it data.
//!
//! Pure: no network, no clock, no randomness. A call to a vendor is three steps, of which this module
//! does the first and the last: *build* a request from a manifest, the connection's values and an event
//! ([`build_delivery`], [`TestRun::next`]); send it (`egress` does); *read* the answer into what follows
//! ([`read_delivery`], [`TestRun::answer`]). `service` drives them; `graphql` shows the library; nobody
//! else calls here.
//!
//! A manifest is one TOML file a vendor (`connectors/README.md` is its reference). Nothing here names a
//! vendor: an oddity becomes a mechanism with a name that any manifest can use.

mod answer;
mod credential;
mod delivery;
mod ecma;
mod fault;
mod fields;
mod grant;
mod hosts;
mod json_body;
mod library;
mod mail;
mod manifest;
mod mask;
mod model;
mod oauth;
mod payload;
mod placeholders;
mod preview;
mod reader;
mod request;
mod retry_hint;
mod shape;
mod sign;
mod template;
mod test_run;
mod values;

#[cfg(test)]
mod tests;

pub use self::{
    delivery::{Event, MESSAGE_MAX, Reading, Verdict, build_delivery, read_delivery},
    fault::Fault,
    fields::{VALUE_MAX, Violation},
    grant::Grant,
    library::{Library, LoadOptions, PROVIDERS, Source, built_in},
    mask::mask,
    model::{
        ANY_EVENT, Connector, Field, FieldKind, Flow, GrantKind, OAuth, Operation, Pkce, RefreshKind, RefreshLimit,
        Scope,
    },
    oauth::{CallbackRefused, Consent, OAuthCall, OAuthClient, Revoked, TokenRefusal, TokenRefused},
    payload::{PayloadViolation, VIOLATIONS_MAX, check_payload},
    placeholders::BuildError,
    preview::{Preview, preview_delivery},
    request::CallContext,
    shape::{event_reference, manifest_reference, manifest_schema},
    sign::{SigningKeys, new_signing_secret},
    test_run::{TestFinding, TestRun, TestStep},
    values::{UnreadableValues, Values},
};
