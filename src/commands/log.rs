//! Where log lines go: to standard error, so that standard output holds what was asked for.

use std::io::{self, IsTerminal as _};

use integrations_gateway::config::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;

/// Begins to log. Called once, before anything else runs.
pub(super) fn begin(settings: &LogSettings) {
    let terminal = io::stderr().is_terminal();
    let format = settings.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    // The setting was checked, so nothing of it is left out here.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&settings.filter))
        .with_writer(io::stderr)
        .with_ansi(terminal);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
