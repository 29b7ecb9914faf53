//! What a start costs: time until ready, and resident memory after it.

use std::time::Duration;

use super::harness::{self, Gateway, Setup};

/// The bounds of the project.
const READY_MAX: Duration = Duration::from_millis(100);
const RESIDENT_MAX_MB: f64 = 25.0;

pub fn run() -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::start(&Setup::on_sqlite(directory.path()));
    let ready = harness::bound(
        "start to ready, empty SQLite file",
        gateway.ready_after.as_secs_f64() * 1_000.0,
        READY_MAX.as_secs_f64() * 1_000.0,
        "ms",
    );
    let resident = harness::bound(
        "resident memory after it",
        harness::megabytes(gateway.process.resident_kib()),
        RESIDENT_MAX_MB,
        "MB",
    );
    ready && resident
}
