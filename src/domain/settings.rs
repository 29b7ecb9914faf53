//! A site's settings, with the values that hold until it has its own.

use super::retry::DEFAULT_SCHEDULE_SECONDS;

/// What a site can tune.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub delivery_log_retention_days: u32,
    /// Waiting times between attempts, in seconds; their number bounds the attempts.
    pub retry_schedule_seconds: Vec<u32>,
    pub delivery_timeout_ms: u32,
    /// How long an event may wait for its connection before it fails with `HOLD_EXPIRED`.
    pub hold_limit_hours: u32,
    pub error_pattern: ErrorPattern,
}

/// A connection turns to `error` once this many attempts in a row have failed, the first of them at
/// least so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPattern {
    pub failed_attempts: u32,
    pub minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delivery_log_retention_days: 90,
            retry_schedule_seconds: DEFAULT_SCHEDULE_SECONDS.to_vec(),
            delivery_timeout_ms: 15_000,
            hold_limit_hours: 168,
            error_pattern: ErrorPattern { failed_attempts: 20, minutes: 10 },
        }
    }
}
