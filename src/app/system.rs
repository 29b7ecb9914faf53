//! The system's clock, randomness and signals: the one place that asks for them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::domain::clock::{BoxFuture, Clock, Entropy};

/// The system's wall clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

/// The longest single wait: a clock that is set meanwhile is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is where waiting comes from")]
    fn sleep_until(&self, until: DateTime<Utc>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A wait of less than a millisecond is none for the clock of the runtime.
            while let Ok(left) = (until - self.now()).to_std()
                && !left.is_zero()
            {
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
        })
    }
}

/// The system's source of random bytes.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is where randomness comes from")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the system gives random bytes; without them no secret could be made");
    }
}

/// How many files the process may open, after it has asked for as many as it may have: a system's first word is
/// often 1024, for programs that could not count further.
pub(super) fn open_files_max() -> usize {
    let bounds = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: bounds.maximum, maximum: bounds.maximum };
    let granted = if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { bounds.current };
    granted.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Ends when the process is told to stop: by SIGTERM or SIGINT.
pub(super) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be waited for; the process ends only when it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
