//! What a site can tune.

use async_graphql::{Description, Object, SimpleObject};

use super::{
    enums::{Capability, ConnectorFamily},
    scalars::DateTime,
    scope::SharedScope,
};
use crate::{domain::settings, service};

/// What the site can tune. A change holds at once, for what is queued too; a waiting time that has begun is waited to its
/// end.
#[derive(Description)]
pub struct Settings {
    pub(super) scope: SharedScope,
    pub(super) settings: settings::Settings,
}

#[Object(use_type_description)]
impl Settings {
    /// How long a delivery is kept after its end, with its entries and its payload.
    async fn delivery_log_retention_days(&self) -> i32 {
        number(self.settings.delivery_log_retention_days)
    }

    /// Waiting times between attempts, in seconds, each made up to a tenth longer by chance; their number bounds the
    /// attempts.
    async fn retry_schedule_seconds(&self) -> Vec<i32> {
        self.settings.retry_schedule_seconds.iter().copied().map(number).collect()
    }

    /// How long a vendor may take to answer an event.
    async fn delivery_timeout_ms(&self) -> i32 {
        number(self.settings.delivery_timeout_ms)
    }

    /// How long an event may wait for its connection before it fails with `HOLD_EXPIRED`.
    async fn hold_limit_hours(&self) -> i32 {
        number(self.settings.hold_limit_hours)
    }

    async fn error_pattern(&self) -> ErrorPattern {
        let pattern = self.settings.error_pattern;
        ErrorPattern { failed_attempts: number(pattern.failed_attempts), minutes: number(pattern.minutes) }
    }

    /// What the site asks of families of connectors, in the order of families; those that are not here are as the
    /// product has them.
    async fn family_overrides(&self) -> Vec<FamilyOverride> {
        self.settings.family_overrides.iter().map(FamilyOverride::from).collect()
    }

    /// Which version of the site's encryption key seals new records, and since when.
    async fn site_key(&self) -> async_graphql::Result<SiteKey> {
        let key = self.scope.gateway.site_key(self.scope.site()).await;
        key.map(SiteKey::from).map_err(|failure| self.scope.error(failure))
    }
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// The key that seals a site's records.
#[derive(SimpleObject)]
pub struct SiteKey {
    version: i32,
    created_at: DateTime,
    /// Records still sealed with an older version: credentials at first, and payloads of events that are kept, which are
    /// begun with after a minute and counted up to 10,000.
    records_to_reseal: i32,
}

impl From<service::SiteKey> for SiteKey {
    fn from(key: service::SiteKey) -> Self {
        Self {
            version: key.version,
            created_at: DateTime(key.created_at),
            records_to_reseal: i32::try_from(key.records_to_reseal).unwrap_or(i32::MAX),
        }
    }
}

/// A connection turns to ERROR once this many attempts in a row have failed, the first of them at least so long ago.
#[derive(SimpleObject)]
pub struct ErrorPattern {
    failed_attempts: i32,
    minutes: i32,
}

/// What the site asks of one family of connectors.
#[derive(SimpleObject)]
pub struct FamilyOverride {
    family: ConnectorFamily,
    /// Needed besides an action's own for every credential action (connect, configure, edit scopes, refresh, rotate,
    /// reauthorize, disconnect); they add to what the product asks for.
    extra_capabilities: Vec<Capability>,
    /// A family that is switched off takes no new connections and no events; what it had queued is held until it is on
    /// again, and fails with `HOLD_EXPIRED` after `holdLimitHours`. Its connections are tested and renewed all the same.
    enabled: bool,
}

impl From<&settings::FamilyOverride> for FamilyOverride {
    fn from(own: &settings::FamilyOverride) -> Self {
        Self {
            family: own.family.into(),
            extra_capabilities: own.extra_capabilities.iter().map(Capability::from).collect(),
            enabled: own.enabled,
        }
    }
}
