//! What the verbs take and give, and how they fail.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use url::Url;

use crate::domain::{
    authorization::Authorization,
    capability::{Capabilities, Capability},
    connection::{Connection, ConnectionState},
    connector::AuthFlow,
    delivery::{Delivery, DeliveryEntry},
    id::{ConnectionId, SiteId},
    principal::Principal,
    secret::Secret,
    settings::Settings,
    test_report::TestReport,
    vocabulary::vocabulary,
};

/// Who calls, and under which request id the log speaks of it.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    pub request_id: String,
}

/// A caller with what its role may do and what its site is set to, as read for this operation.
#[derive(Clone, Debug)]
pub struct Acting {
    pub caller: Caller,
    pub capabilities: Capabilities,
    pub settings: Arc<Settings>,
}

impl Acting {
    /// The site that the caller's token names.
    #[must_use]
    pub const fn site(&self) -> SiteId {
        self.caller.principal.site
    }
}

/// Why a verb or a reading did not come about. What stands here goes to the client as it is.
///
/// There is no `Display` and no `From` of an inner error, so that `?` cannot carry a database's or a
/// vendor's text to a client: whoever meets one logs it and makes it [`Failure::Internal`]
/// (see [`OrInternal`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's role lacks this capability.
    Forbidden(Capability),
    /// An argument is wrong: which one, and what would be right.
    BadInput { field: String, message: String },
    /// There is no such thing in this site.
    NotFound(&'static str),
    /// The action is not possible in the present state.
    Conflict(String),
    /// A bound was exceeded: which, and by how much.
    LimitExceeded(String),
    /// Something broke inside; the log has it under the request's id.
    Internal,
}

impl Failure {
    /// A wrong argument.
    pub fn bad_input(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::BadInput { field: field.into(), message: message.into() }
    }

    /// Of one item in a list of inputs, where the field of the failure alone would not say of which.
    #[must_use]
    pub fn in_item(self, list: &str, at: usize) -> Self {
        match self {
            Self::BadInput { field, message } => Self::BadInput { field: format!("{list}.{at}.{field}"), message },
            Self::LimitExceeded(message) => Self::LimitExceeded(format!("{list}.{at}: {message}")),
            other => other,
        }
    }
}

/// Turns inner errors into [`Failure::Internal`], and their text into a log line.
pub trait OrInternal<T> {
    /// Logs the error as what went wrong while `doing`.
    fn or_internal(self, doing: &'static str) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrInternal<T> for Result<T, E> {
    fn or_internal(self, doing: &'static str) -> Result<T, Failure> {
        self.map_err(|error| {
            tracing::error!(%error, "{doing} failed");
            Failure::Internal
        })
    }
}

/// Credentials for a new connection, as an operator entered them.
#[derive(Clone, Debug)]
pub struct CreateConnection {
    pub connector_slug: String,
    pub auth_flow: AuthFlow,
    pub display_name: Option<String>,
    pub fields: Vec<(String, Secret)>,
}

/// The beginning of a connection whose signing secret is made here.
#[derive(Clone, Debug)]
pub struct BeginSigned {
    pub connector_slug: String,
    pub display_name: Option<String>,
    pub fields: Vec<(String, Secret)>,
}

/// A signing secret that waits to be registered with the vendor.
#[derive(Clone, Debug)]
pub struct SigningOffer {
    /// Names the offer; good for its operator only.
    pub token: String,
    pub secret: Secret,
    pub instructions: String,
    pub expires_at: DateTime<Utc>,
}

/// A field that is wrong. The message never repeats a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    pub field: String,
    pub message: String,
}

/// How the creation of a connection ended.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a request, and it is taken apart at once")]
pub enum Creation {
    /// The test call passed and the record is stored.
    Created { connection: Connection, test: TestReport },
    /// Nothing was stored: a field was wrong (then the vendor was not called), or the test failed.
    Rejected { test: Option<TestReport>, violations: Vec<FieldViolation> },
}

/// A connection and what its test call found.
#[derive(Clone, Debug)]
pub struct Tested {
    pub connection: Connection,
    pub test: TestReport,
}

/// A credential that takes another one's place.
#[derive(Clone, Debug)]
pub struct RotateCredentials {
    pub connection: ConnectionId,
    /// Those that are given replace the old ones. Left out for a signed connection, whose secret is made here.
    pub fields: Option<Vec<(String, Secret)>>,
    /// How long the old signing secret still signs.
    pub overlap_seconds: Option<i32>,
}

/// How a rotation ended.
#[derive(Clone, Debug)]
pub struct Rotation {
    pub connection: Connection,
    /// Of the new credential.
    pub test: TestReport,
    /// The new signing secret, and until when the old one signs.
    pub new_secret: Option<(Secret, DateTime<Utc>)>,
    /// False where the old credential serves on.
    pub rotated: bool,
}

vocabulary! {
    /// Whether the vendor has been told of a disconnect.
    pub enum Revocation {
        Revoked = "revoked",
        NotApplicable = "not_applicable",
        Failed = "failed",
    }
}

/// How a disconnect ended.
#[derive(Clone, Debug)]
pub struct Disconnection {
    pub connection: ConnectionId,
    /// False where revocation failed and the record is still there.
    pub disconnected: bool,
    pub revocation: Revocation,
    /// A call with the old credential was refused afterwards.
    pub revocation_proved: bool,
    pub detail: Option<String>,
}

vocabulary! {
    /// What to do with an event whose connection is not active.
    pub enum WhenNotActive {
        Reject = "reject",
        Hold = "hold",
    }
}

/// One outbound event, as a module hands it over.
#[derive(Clone, Debug)]
pub struct DispatchEvent {
    pub connection: ConnectionId,
    pub event_type: String,
    pub event_identifier: String,
    /// `eventType:eventIdentifier` unless given.
    pub idempotency_key: Option<String>,
    pub payload: serde_json::Value,
    pub when_not_active: WhenNotActive,
    /// Scopes that the caller insists on, besides the operation's own.
    pub required_scopes: Vec<String>,
    /// A module's own token decides it; an operator must say.
    pub originating_module: Option<String>,
}

vocabulary! {
    /// Why an event was not taken.
    pub enum DispatchRejection {
        ConnectionNotFound = "connection_not_found",
        ConnectionNotActive = "connection_not_active",
        ScopeInsufficient = "scope_insufficient",
        OperationUnknown = "operation_unknown",
        PayloadInvalid = "payload_invalid",
        /// The same key came before with another event or payload.
        IdempotencyMismatch = "idempotency_mismatch",
        /// The connector's family is switched off in the site's settings.
        FamilyDisabled = "family_disabled",
        /// As many events wait for the connection as may.
        QueueFull = "queue_full",
    }
}

/// What is wrong in a payload, and where (a JSON pointer, RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadViolation {
    pub pointer: String,
    pub message: String,
}

/// How a dispatch ended.
#[derive(Clone, Debug)]
pub enum Dispatch {
    /// Stored: it outlives a crash. `duplicate` where it had been handed over before.
    Accepted { delivery: Delivery, duplicate: bool },
    Rejected {
        reason: DispatchRejection,
        message: String,
        state: Option<ConnectionState>,
        missing_scopes: Vec<String>,
        violations: Vec<PayloadViolation>,
    },
}

vocabulary! {
    /// Why a delivery was not tried again by hand.
    pub enum RetryRejection {
        NotFailed = "not_failed",
        /// A later attempt of the same delivery exists.
        Superseded = "superseded",
        ConnectionRemoved = "connection_removed",
        ConnectionNotActive = "connection_not_active",
        /// The connector's family is switched off in the site's settings.
        FamilyDisabled = "family_disabled",
        PayloadPurged = "payload_purged",
    }
}

/// How a retry by hand ended.
#[derive(Clone, Debug)]
pub enum Retry {
    /// The vendor was called; the entry says how it went.
    Retried(Box<DeliveryEntry>),
    Rejected {
        reason: RetryRejection,
        message: String,
    },
}

/// The beginning of a connection by OAuth.
#[derive(Clone, Debug)]
pub struct BeginOAuth {
    pub connector_slug: String,
    pub display_name: Option<String>,
    /// The connector's default scopes if left out.
    pub scopes: Option<Vec<String>>,
    pub fields: Vec<(String, Secret)>,
    /// Where the browser goes in the end.
    pub return_to: Option<String>,
}

/// A browser on its way to a vendor.
#[derive(Clone, Debug)]
pub struct Sending {
    pub authorization: Authorization,
    pub site: SiteId,
    pub connector_name: String,
    /// Proves the browser when it comes back.
    pub cookie: Secret,
    /// Where the vendor asks for consent.
    pub to: Url,
}

/// A browser that has come back from a vendor.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a request")]
pub enum Returned {
    /// No authorization waits for it: it is unknown, has ended, or has run out.
    Unknown,
    /// The authorization was begun in another browser.
    OtherBrowser,
    /// The authorization has ended, well or badly.
    Ended { authorization: Authorization, connector_name: String },
}
