//! Changing what a site can tune.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use crate::{
    domain::{
        capability::{Capabilities, Capability as Needs},
        settings,
    },
    graphql::{
        enums::{Capability, ConnectorFamily},
        guard::{Guarded, guarded_some, requires},
        scope::{self, SharedScope},
        settings::{Settings, SiteKey},
    },
    service::UpdateSettings,
};

#[derive(Default)]
pub struct Tuning;

/// What is to be another value; what is left out, or null, stays.
#[derive(InputObject)]
pub struct UpdateSettingsInput {
    /// From 1 to 3,650.
    delivery_log_retention_days: Option<i32>,
    /// Up to 20 waiting times, each from 1 to 604,800 seconds. With none, nothing fails twice.
    retry_schedule_seconds: Option<Vec<i32>>,
    /// From 1,000 to 30,000.
    delivery_timeout_ms: Option<i32>,
    /// From 1 to 8,760.
    hold_limit_hours: Option<i32>,
    error_pattern: Option<ErrorPatternInput>,
    /// All that the site has from then on: a family that is left out is as the product has it.
    family_overrides: Option<Vec<FamilyOverrideInput>>,
}

/// When a connection turns to ERROR.
#[derive(InputObject)]
pub struct ErrorPatternInput {
    /// From 1 to 1,000.
    failed_attempts: i32,
    /// From 0 to 1,440.
    minutes: i32,
}

/// What the site asks of one family of connectors.
#[derive(InputObject)]
pub struct FamilyOverrideInput {
    family: ConnectorFamily,
    /// Needed besides an action's own for every credential action; they add to what the product asks for.
    extra_capabilities: Vec<Capability>,
    /// False: it takes no new connections and no events, and what it had queued is held.
    enabled: bool,
}

/// The settings as they are now.
#[derive(SimpleObject)]
pub struct UpdateSettingsPayload {
    settings: Settings,
}

/// The key that seals from now on.
#[derive(SimpleObject)]
pub struct RotateSiteKeyPayload {
    site_key: SiteKey,
}

#[Object]
impl Tuning {
    /// Changes what the site can tune. It holds at once, for what is queued too; a waiting time that has begun is waited to
    /// its end.
    #[graphql(directive = requires::apply(Capability::ManageSettings))]
    async fn update_settings(
        &self,
        context: &Context<'_>,
        input: UpdateSettingsInput,
    ) -> Guarded<UpdateSettingsPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::ManageSettings, async {
            let settings = scope.gateway.update_settings(&scope.acting, input.into()).await?;
            Ok(UpdateSettingsPayload { settings: Settings { scope: SharedScope::clone(scope), settings } })
        })
        .await
    }

    /// Gives the site another encryption key, which seals from now on. What older keys seal is sealed anew in the
    /// background while everything goes on: `settings { siteKey { recordsToReseal } }` says how much is left. An hour
    /// later at the earliest the older keys are gone.
    #[graphql(directive = requires::apply(Capability::ManageSettings))]
    async fn rotate_site_key(&self, context: &Context<'_>) -> Guarded<RotateSiteKeyPayload> {
        let scope = scope::of(context);
        let rotated = async {
            let key = scope.gateway.rotate_site_key(&scope.acting).await?;
            Ok(RotateSiteKeyPayload { site_key: key.into() })
        };
        guarded_some(scope, Needs::ManageSettings, rotated).await
    }
}

impl From<UpdateSettingsInput> for UpdateSettings {
    fn from(input: UpdateSettingsInput) -> Self {
        let overrides = |given: Vec<FamilyOverrideInput>| given.into_iter().map(settings::FamilyOverride::from);
        Self {
            delivery_log_retention_days: input.delivery_log_retention_days,
            retry_schedule_seconds: input.retry_schedule_seconds,
            delivery_timeout_ms: input.delivery_timeout_ms,
            hold_limit_hours: input.hold_limit_hours,
            error_pattern: input.error_pattern.map(|pattern| (pattern.failed_attempts, pattern.minutes)),
            family_overrides: input.family_overrides.map(|given| overrides(given).collect()),
        }
    }
}

impl From<FamilyOverrideInput> for settings::FamilyOverride {
    fn from(own: FamilyOverrideInput) -> Self {
        let extra: Vec<Needs> = own.extra_capabilities.into_iter().map(Needs::from).collect();
        Self { family: own.family.into(), extra_capabilities: Capabilities::of(&extra), enabled: own.enabled }
    }
}
