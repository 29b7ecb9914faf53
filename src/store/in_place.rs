//! Running SQLite on the thread that asks.
//!
//! diesel's SQLite connection blocks its thread. Sending each statement to a thread of its own costs
//! more than most statements do, and leaves statements running when the future that asked for them is
//! dropped. Here a statement, or a whole transaction, runs where it is asked for, after the runtime has
//! been told to move its other tasks away: a transaction on SQLite is one poll that cannot be
//! cut off half-way.

use std::{
    cell::Cell,
    error::Error,
    future::{Future, poll_fn, ready},
    pin::pin,
};

use diesel_async::sync_connection_wrapper::SpawnBlocking;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::database::DatabaseKind;
use crate::domain::clock::BoxFuture;

/// Makes diesel-async run a blocking call at once.
pub(super) struct InPlace;

impl SpawnBlocking for InPlace {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn Error + Send + Sync + 'static>>>
    where
        R: Send + 'static,
    {
        Box::pin(ready(Ok(blocking(task))))
    }

    fn get_runtime() -> Self {
        Self
    }
}

thread_local! {
    /// Whether what runs now is as short as what any task does between two waits.
    static BRIEF: Cell<bool> = const { Cell::new(false) };
}

/// Runs a blocking call, and lets other tasks go on meanwhile where the runtime has threads for them.
pub(super) fn blocking<R>(task: impl FnOnce() -> R) -> R {
    if BRIEF.get() {
        return task();
    }
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(task),
        _ => task(),
    }
}

/// Runs a reading that an index bounds to a page of rows. Telling the runtime, which wakes another thread, would
/// cost more than the reading.
pub(super) async fn brief<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _during = Brief::begin();
        future.as_mut().poll(context)
    })
    .await
}

/// Sets the mark, and sets it back also where the reading panics.
struct Brief {
    before: bool,
}

impl Brief {
    fn begin() -> Self {
        Self { before: BRIEF.replace(true) }
    }
}

impl Drop for Brief {
    fn drop(&mut self) {
        BRIEF.set(self.before);
    }
}

/// Runs a future whose every step may block. On SQLite the task announces this once for the whole
/// future, instead of once for each statement in it.
pub(super) async fn whole<F: Future>(kind: DatabaseKind, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| match kind {
        DatabaseKind::Sqlite => blocking(|| future.as_mut().poll(context)),
        DatabaseKind::Postgres => future.as_mut().poll(context),
    })
    .await
}
