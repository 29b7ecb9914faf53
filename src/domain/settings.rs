//! A site's settings, with the values that hold until it has its own.

use std::ops::RangeInclusive;

use super::{
    capability::{Capabilities, Capability},
    connector::ConnectorFamily,
    retry::DEFAULT_SCHEDULE_SECONDS,
};

/// Bounds of the settings, in their own units. The longest time-out leaves a claim time for one call, one renewal and
/// what is stored around them.
pub const RETENTION_DAYS: RangeInclusive<u32> = 1..=3_650;
pub const RETRY_WAIT_SECONDS: RangeInclusive<u32> = 1..=604_800;
pub const RETRY_WAITS_MAX: usize = 20;
pub const DELIVERY_TIMEOUT_MS: RangeInclusive<u32> = 1_000..=30_000;
pub const HOLD_LIMIT_HOURS: RangeInclusive<u32> = 1..=8_760;
pub const PATTERN_ATTEMPTS: RangeInclusive<u32> = 1..=1_000;
pub const PATTERN_MINUTES: RangeInclusive<u32> = 0..=1_440;

/// What a site can tune. What a release does not know is passed over: a newer one may have written it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    pub delivery_log_retention_days: u32,
    /// Waiting times between attempts, in seconds; their number bounds the attempts.
    pub retry_schedule_seconds: Vec<u32>,
    pub delivery_timeout_ms: u32,
    /// How long an event may wait for its connection before it fails with `HOLD_EXPIRED`.
    pub hold_limit_hours: u32,
    pub error_pattern: ErrorPattern,
    /// At most one of a family, in the order of families.
    #[serde(serialize_with = "words::write", deserialize_with = "words::read")]
    pub family_overrides: Vec<FamilyOverride>,
}

/// A connection turns to `error` once this many attempts in a row have failed, the first of them at
/// least so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ErrorPattern {
    pub failed_attempts: u32,
    pub minutes: u32,
}

/// What a site asks of one family of connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyOverride {
    pub family: ConnectorFamily,
    /// Needed besides an action's own for every credential action; adds to what the product asks for, takes nothing away.
    pub extra_capabilities: Capabilities,
    /// A family that is switched off takes no new connections and no events; what it had queued is held.
    pub enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delivery_log_retention_days: 90,
            retry_schedule_seconds: DEFAULT_SCHEDULE_SECONDS.to_vec(),
            delivery_timeout_ms: 15_000,
            hold_limit_hours: 168,
            error_pattern: ErrorPattern { failed_attempts: 20, minutes: 10 },
            family_overrides: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether connectors of this family take new connections and events.
    #[must_use]
    pub fn is_enabled(&self, family: ConnectorFamily) -> bool {
        self.of(family).is_none_or(|own| own.enabled)
    }

    /// Capabilities needed besides an action's own for every credential action on a connector of this family.
    #[must_use]
    pub fn extra_capabilities(&self, family: ConnectorFamily) -> Capabilities {
        let always = match family {
            ConnectorFamily::Payments => Capabilities::of(&[Capability::ManagePaymentCredentials]),
            _ => Capabilities::NONE,
        };
        self.of(family).map_or(always, |own| own.extra_capabilities.union(always))
    }

    fn of(&self, family: ConnectorFamily) -> Option<&FamilyOverride> {
        self.family_overrides.iter().find(|own| own.family == family)
    }
}

/// Overrides by the stable spellings of their words.
mod words {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Capabilities, Capability, ConnectorFamily, FamilyOverride};

    #[derive(Serialize, Deserialize)]
    struct Spelled {
        family: String,
        extra_capabilities: Vec<String>,
        enabled: bool,
    }

    pub(super) fn write<S: Serializer>(overrides: &[FamilyOverride], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(overrides.iter().map(|own| Spelled {
            family: own.family.as_str().to_owned(),
            extra_capabilities: own.extra_capabilities.iter().map(|c| c.as_str().to_owned()).collect(),
            enabled: own.enabled,
        }))
    }

    pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FamilyOverride>, D::Error> {
        let spelled = Vec::<Spelled>::deserialize(deserializer)?;
        let known = spelled.into_iter().filter_map(|own| {
            let extra: Vec<Capability> =
                own.extra_capabilities.iter().filter_map(|word| Capability::parse(word)).collect();
            Some(FamilyOverride {
                family: ConnectorFamily::parse(&own.family)?,
                extra_capabilities: Capabilities::of(&extra),
                enabled: own.enabled,
            })
        });
        Ok(known.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_stored() {
        let settings = Settings {
            retry_schedule_seconds: vec![1, 2],
            family_overrides: vec![FamilyOverride {
                family: ConnectorFamily::Crm,
                extra_capabilities: Capabilities::of(&[Capability::ManageSettings, Capability::Disconnect]),
                enabled: false,
            }],
            ..Settings::default()
        };
        let text = serde_json::to_string(&settings).expect("they have a JSON text");
        assert_eq!(serde_json::from_str::<Settings>(&text).expect("it can be read"), settings, "{text}");
    }

    #[test]
    fn what_a_newer_release_has_stored_is_passed_over() {
        let text = r#"{"from_later": 1, "hold_limit_hours": 5, "family_overrides": [
            {"family": "games", "extra_capabilities": [], "enabled": false},
            {"family": "crm", "extra_capabilities": ["fly", "disconnect"], "enabled": true}]}"#;
        let settings: Settings = serde_json::from_str(text).expect("it can be read");
        assert_eq!(settings.hold_limit_hours, 5);
        assert_eq!(settings.delivery_log_retention_days, 90);
        let disconnect = Capabilities::of(&[Capability::Disconnect]);
        assert_eq!(
            settings.family_overrides,
            [FamilyOverride { family: ConnectorFamily::Crm, extra_capabilities: disconnect, enabled: true }]
        );
    }

    #[test]
    fn an_override_adds_to_what_the_product_asks_for() {
        let mut settings = Settings::default();
        let payments = Capabilities::of(&[Capability::ManagePaymentCredentials]);
        assert_eq!(settings.extra_capabilities(ConnectorFamily::Payments), payments);
        settings.family_overrides.push(FamilyOverride {
            family: ConnectorFamily::Payments,
            extra_capabilities: Capabilities::of(&[Capability::ManageSettings]),
            enabled: true,
        });
        let both = Capabilities::of(&[Capability::ManagePaymentCredentials, Capability::ManageSettings]);
        assert_eq!(settings.extra_capabilities(ConnectorFamily::Payments), both);
        assert_eq!(settings.extra_capabilities(ConnectorFamily::Crm), Capabilities::NONE);
        assert!(settings.is_enabled(ConnectorFamily::Payments));
    }
}
