//! The closed word lists of the API. Each mirrors one of the domain, value for value.

use async_graphql::{Enum, resolver_utils::EnumType as _};

use crate::{domain, service};

macro_rules! mirrored {
    ($(#[$meta:meta])* $name:ident = $source:path { $($(#[$vmeta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl From<$source> for $name {
            fn from(value: $source) -> Self {
                match value { $(<$source>::$variant => Self::$variant),+ }
            }
        }

        impl From<$name> for $source {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),+ }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let item = Self::items().iter().find(|item| item.value == *self);
                item.map(|item| item.name).serialize(serializer)
            }
        }
    };
}

/// The domain's words for the API's, in the order given.
pub(super) fn all<A: Copy, D: From<A>>(values: Option<Vec<A>>) -> Option<Vec<D>> {
    values.map(|values| values.into_iter().map(D::from).collect())
}

mirrored! {
    /// A right that a field can require.
    Capability = domain::capability::Capability {
        ListConnections,
        BrowseLibrary,
        CreateConnection,
        EditScopes,
        RefreshCredentials,
        TestConnection,
        PauseResume,
        Disconnect,
        BrowseDeliveryLog,
        RetryDelivery,
        /// On top of the action's own capability, for every credential action on a payment connector.
        ManagePaymentCredentials,
        BrowseActivityLog,
        DispatchEvents,
        ManageRoles,
        ManageSettings,
    }
}

mirrored! {
    /// The two kinds of callers.
    PrincipalKind = domain::principal::PrincipalKind { Operator, Module }
}

mirrored! {
    /// Groups connectors that belong together for an operator.
    ConnectorFamily = domain::connector::ConnectorFamily { Google, Email, Payments, Webhooks, Analytics, Crm, Messaging, Social }
}

mirrored! {
    /// How a connection proves itself to the vendor.
    AuthFlow = domain::connector::AuthFlow {
        Oauth,
        ApiKey,
        /// A signing secret that the gateway makes, and the operator registers with the vendor.
        SignedToken,
        /// A user and a password, or an id and a secret.
        Basic,
    }
}

mirrored! {
    /// Observed state: only pause and resume set it by hand.
    ConnectionState = domain::connection::ConnectionState {
        /// Events are delivered.
        Active,
        /// An operator has stopped deliveries; the credential is kept.
        Paused,
        /// The credential has run out and could not be refreshed.
        AuthExpired,
        /// The vendor does not accept the credential any more.
        AuthRevoked,
        /// Deliveries fail in a pattern, or the test on resume has failed.
        Error,
    }
}

mirrored! {
    /// What brought a state about.
    StateChangeCause = domain::connection::StateChangeCause { Operator, Test, Refresh, Delivery }
}

mirrored! {
    /// What happened to a connection.
    ConnectionChange = domain::connection::ConnectionChange {
        Created,
        StateChanged,
        /// Name, scopes or configuration; not tests or deliveries.
        Updated,
        Removed,
    }
}

mirrored! {
    /// What can be done with a connection.
    ConnectionAction = domain::action::ConnectionAction {
        Rename,
        Configure,
        EditScopes,
        Refresh,
        /// For a signing secret: refused all the same while five of them overlap.
        Rotate,
        Reauthorize,
        Test,
        Pause,
        Resume,
        Disconnect,
        /// Handing over an event that is not to be held.
        Dispatch,
    }
}

mirrored! {
    /// What a test call found.
    TestOutcome = domain::test_report::TestOutcome {
        Connected,
        CredentialExpired,
        CredentialRevoked,
        ScopeInsufficient,
        VendorError,
        NetworkError,
    }
}

mirrored! {
    /// What a passing test of a connector shows.
    TestProof = domain::test_report::TestProof {
        /// The account answered for itself.
        Account,
        /// The vendor accepted the credential, without naming an account.
        Credential,
        /// The destination answered; nothing can prove the credential.
        Reachable,
        /// Only the form of the credential could be checked.
        Syntax,
    }
}

mirrored! {
    /// What an authorization is for.
    AuthorizationPurpose = domain::authorization::AuthorizationPurpose { Connect, EditScopes, Reauthorize }
}

mirrored! {
    /// How far an authorization has come.
    AuthorizationStatus = domain::authorization::AuthorizationStatus { Pending, Succeeded, Rejected, Expired }
}

mirrored! {
    /// How far an outbound event has come.
    DeliveryStatus = domain::delivery::DeliveryStatus {
        Queued,
        /// Waiting for its connection to become active again, or for its family to be switched on.
        Held,
        Delivered,
        Failed,
        Cancelled,
    }
}

mirrored! {
    /// What a delivery waits for.
    DeliveryWait = domain::delivery::DeliveryWait {
        /// The time of the next attempt.
        Schedule,
        /// Its connection to be active again, or its family to be switched on.
        Connection,
        /// The vendor has asked for later.
        RateLimit,
        /// As many attempts of its connection run as may.
        Concurrency,
        /// Its connection delivers in order, and an older one has not ended.
        Order,
    }
}

mirrored! {
    /// The outcome of one attempt.
    DeliveryOutcome = domain::delivery::DeliveryOutcome {
        Delivered,
        /// Failed, and another attempt is scheduled.
        Retried,
        Failed,
    }
}

mirrored! {
    /// Why an attempt failed.
    DeliveryFailure = domain::delivery::DeliveryFailure {
        NetworkError,
        Timeout,
        /// The destination's address is not public, and the configuration does not allow it.
        DestinationForbidden,
        RateLimited,
        CredentialExpired,
        CredentialRevoked,
        ScopeInsufficient,
        VendorRejected,
        VendorError,
        ConnectionRemoved,
        HoldExpired,
    }
}

mirrored! {
    /// What was done.
    ActivityAction = domain::activity::ActivityAction {
        ConnectionCreated,
        ConnectionRenamed,
        ConnectionConfigured,
        ScopesEdited,
        CredentialsRefreshed,
        CredentialsRotated,
        ConnectionReauthorized,
        ConnectionTested,
        ConnectionPaused,
        ConnectionResumed,
        ConnectionDisconnected,
        DeliveryRetried,
        RoleSaved,
        RoleDeleted,
        SettingsChanged,
        SiteKeyRotated,
    }
}

mirrored! {
    /// How it ended: done, refused, or tried in vain.
    ActivityOutcome = domain::activity::ActivityOutcome { Succeeded, Rejected, Failed }
}

mirrored! {
    /// The direction of an order. Nulls come last in both.
    OrderDirection = domain::query::OrderDirection { Asc, Desc }
}

mirrored! {
    /// The orders of the list of connections.
    ConnectionOrderField = domain::query::ConnectionOrderField {
        DisplayName,
        Connector,
        State,
        Scopes,
        LastDeliveryAt,
        OperatorOfRecord,
        CreatedAt,
        UpdatedAt,
    }
}

mirrored! {
    /// The orders of the delivery log.
    DeliveryOrderField = domain::query::DeliveryOrderField {
        AttemptedAt,
        OriginatingModule,
        Outcome,
        VendorResponseCode,
        Latency,
    }
}

mirrored! {
    /// Whether the vendor has been told of a disconnect.
    Revocation = service::Revocation {
        Revoked,
        /// The vendor has no revocation call, or the flow has none: the operator rotates the key at the vendor.
        NotApplicable,
        Failed,
    }
}

mirrored! {
    /// What to do with an event whose connection is not active.
    WhenNotActive = service::WhenNotActive {
        Reject,
        /// Accept it, and send it once the connection is active again.
        Hold,
    }
}

mirrored! {
    /// Why an event was not taken.
    DispatchRejection = service::DispatchRejection {
        ConnectionNotFound,
        ConnectionNotActive,
        ScopeInsufficient,
        OperationUnknown,
        PayloadInvalid,
        /// The same key came before with another event or payload.
        IdempotencyMismatch,
        /// The connector's family is switched off in the site's settings.
        FamilyDisabled,
        /// As many events wait for the connection as may; those that come later are taken once some have gone out.
        QueueFull,
    }
}

mirrored! {
    /// Why a delivery was not tried again by hand.
    RetryRejection = service::RetryRejection {
        NotFailed,
        /// A later attempt of the same delivery exists.
        Superseded,
        ConnectionRemoved,
        ConnectionNotActive,
        /// The connector's family is switched off in the site's settings.
        FamilyDisabled,
        PayloadPurged,
    }
}
