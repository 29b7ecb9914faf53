//! Verbs: what can be done with connections and events, from the first check to the commit.
//!
//! `graphql` and `worker` call in here; the services call `store`, `vault`, `connector`, `egress` and
//! `bus`, and know neither GraphQL nor HTTP server types. Every verb that calls a vendor runs in a
//! task of its own to its commit (see [`Gateway::in_own_task`]), whatever becomes of the request, and
//! no transaction stays open across a vendor call.

mod actions;
mod authorize;
mod backlog;
mod callback;
mod check;
mod connect;
mod credentials;
mod deliver;
mod disconnect;
mod dispatch;
mod follow;
mod gateway;
mod granted;
mod jwks;
mod keys;
mod lifecycle;
mod modify;
mod oauth_client;
mod pace;
mod preview;
mod read;
mod refresh;
mod renewal;
mod replaced;
mod reseal;
mod retention;
mod retry;
mod retry_all;
mod roles;
mod rotate;
mod settings;
mod signed;
mod test_call;
mod types;
mod validate;

pub use deliver::Delivered;
pub use gateway::{Gateway, Limits, Parts};
pub use keys::SiteKey;
pub use oauth_client::OAuthSettings;
pub use pace::Front;
pub use preview::Previewed;
pub use retry_all::RetriedAll;
pub use settings::UpdateSettings;
pub use types::*;
