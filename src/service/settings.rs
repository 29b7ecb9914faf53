//! A site's settings: read afresh by whoever goes by them, so that a change holds at once.

use std::ops::RangeInclusive;

use super::{
    gateway::{Gateway, activity},
    types::{Acting, Failure, OrInternal as _},
};
use crate::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        capability::Capability,
        settings::{self, ErrorPattern, FamilyOverride, Settings},
    },
    store::{self, settings::Changed},
};

/// What a caller wants to have changed; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct UpdateSettings {
    pub delivery_log_retention_days: Option<i32>,
    pub retry_schedule_seconds: Option<Vec<i32>>,
    pub delivery_timeout_ms: Option<i32>,
    pub hold_limit_hours: Option<i32>,
    /// Failed attempts, and minutes.
    pub error_pattern: Option<(i32, i32)>,
    /// All that the site has from then on.
    pub family_overrides: Option<Vec<FamilyOverride>>,
}

impl Gateway {
    /// Changes the site's settings, and gives them as they are then. A family that is switched off takes no new
    /// connections and no events from then on, and what it has queued is held until it is on again.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for a value out of its bounds, which it names.
    pub async fn update_settings(&self, acting: &Acting, wanted: UpdateSettings) -> Result<Settings, Failure> {
        // What is wrong with it does not depend on what it is applied to.
        wanted.applied_to(&acting.settings)?;
        let decide = |old: &Settings| {
            let new = wanted.applied_to(old).ok()?;
            let changes = changes(old, &new);
            if changes.is_empty() {
                return None;
            }
            let off = self.library().list().iter().filter(|connector| !new.is_enabled(connector.family));
            let switched_off = off.map(|connector| connector.slug.clone()).collect();
            let detail = Some(changes.join("; "));
            let activity = activity(acting, ActivityAction::SettingsChanged, None, ActivityOutcome::Succeeded, detail);
            Some(Changed { settings: new, switched_off, activity })
        };
        let settings = store::settings::change(&self.db, acting.site(), self.now(), decide)
            .await
            .or_internal("storing the settings")?;
        self.committed(acting.site());
        // What was held while its family was off goes on.
        self.bus.wake_deliveries();
        Ok(settings)
    }
}

impl UpdateSettings {
    fn applied_to(&self, old: &Settings) -> Result<Settings, Failure> {
        let one = |field: &str, bounds, wanted: Option<i32>, old: u32| {
            wanted.map_or(Ok(old), |value| within(field, bounds, value))
        };
        Ok(Settings {
            delivery_log_retention_days: one(
                "deliveryLogRetentionDays",
                settings::RETENTION_DAYS,
                self.delivery_log_retention_days,
                old.delivery_log_retention_days,
            )?,
            retry_schedule_seconds: match &self.retry_schedule_seconds {
                None => old.retry_schedule_seconds.clone(),
                Some(waits) => schedule(waits)?,
            },
            delivery_timeout_ms: one(
                "deliveryTimeoutMs",
                settings::DELIVERY_TIMEOUT_MS,
                self.delivery_timeout_ms,
                old.delivery_timeout_ms,
            )?,
            hold_limit_hours: one(
                "holdLimitHours",
                settings::HOLD_LIMIT_HOURS,
                self.hold_limit_hours,
                old.hold_limit_hours,
            )?,
            error_pattern: match self.error_pattern {
                None => old.error_pattern,
                Some((attempts, minutes)) => ErrorPattern {
                    failed_attempts: within("errorPattern.failedAttempts", settings::PATTERN_ATTEMPTS, attempts)?,
                    minutes: within("errorPattern.minutes", settings::PATTERN_MINUTES, minutes)?,
                },
            },
            family_overrides: match &self.family_overrides {
                None => old.family_overrides.clone(),
                Some(overrides) => families(overrides.clone())?,
            },
        })
    }
}

fn within(field: &str, bounds: RangeInclusive<u32>, value: i32) -> Result<u32, Failure> {
    u32::try_from(value).ok().filter(|value| bounds.contains(value)).ok_or_else(|| {
        Failure::bad_input(field, format!("is {value}; it must be from {} to {}", bounds.start(), bounds.end()))
    })
}

fn schedule(waits: &[i32]) -> Result<Vec<u32>, Failure> {
    const FIELD: &str = "retryScheduleSeconds";
    if waits.len() > settings::RETRY_WAITS_MAX {
        return Err(Failure::bad_input(
            FIELD,
            format!("has {} waiting times; at most {} are taken", waits.len(), settings::RETRY_WAITS_MAX),
        ));
    }
    let each = waits.iter().enumerate();
    each.map(|(at, wait)| within(&format!("{FIELD}.{at}"), settings::RETRY_WAIT_SECONDS, *wait)).collect()
}

fn families(mut overrides: Vec<FamilyOverride>) -> Result<Vec<FamilyOverride>, Failure> {
    for (at, own) in overrides.iter().enumerate() {
        if overrides[..at].iter().any(|before| before.family == own.family) {
            let message = format!("the family {} stands in the list twice", own.family);
            return Err(Failure::bad_input(format!("familyOverrides.{at}.family"), message));
        }
    }
    overrides.sort_by_key(|own| own.family);
    Ok(overrides)
}

/// What is another now, in words for the activity log.
fn changes(old: &Settings, new: &Settings) -> Vec<String> {
    let pattern = |p: &ErrorPattern| format!("{} attempts in {} minutes", p.failed_attempts, p.minutes);
    let families = |s: &Settings| {
        let each: Vec<String> = s.family_overrides.iter().copied().map(described).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(" and ") }
    };
    let all = [
        (
            "deliveryLogRetentionDays",
            old.delivery_log_retention_days.to_string(),
            new.delivery_log_retention_days.to_string(),
        ),
        (
            "retryScheduleSeconds",
            format!("{:?}", old.retry_schedule_seconds),
            format!("{:?}", new.retry_schedule_seconds),
        ),
        ("deliveryTimeoutMs", old.delivery_timeout_ms.to_string(), new.delivery_timeout_ms.to_string()),
        ("holdLimitHours", old.hold_limit_hours.to_string(), new.hold_limit_hours.to_string()),
        ("errorPattern", pattern(&old.error_pattern), pattern(&new.error_pattern)),
        ("familyOverrides", families(old), families(new)),
    ];
    all.into_iter()
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| format!("{name}: {is} (was {was})"))
        .collect()
}

fn described(own: FamilyOverride) -> String {
    let extra: Vec<&str> = own.extra_capabilities.iter().map(Capability::as_str).collect();
    let needs = if extra.is_empty() { String::new() } else { format!(" needs {}", extra.join(", ")) };
    format!("{}{needs}{}", own.family, if own.enabled { "" } else { " off" })
}
