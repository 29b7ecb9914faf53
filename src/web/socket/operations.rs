//! The operations that run on one socket.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use async_graphql::Response;
use futures_util::{
    Stream, StreamExt as _,
    future::{AbortHandle, Abortable},
    stream::{self, BoxStream, SelectAll},
};
use tracing::Span;

use crate::web::envelope::RequestId;

/// What an operation brought.
pub(super) enum Step {
    /// A result.
    Next(Response),
    /// It ended.
    Done,
    /// It panicked; the log has more under this id.
    Broken(RequestId),
}

/// The operations of a socket by their ids. A removed one is dropped, and says nothing more.
pub(super) struct Operations {
    running: SelectAll<BoxStream<'static, (Arc<str>, Step)>>,
    handles: HashMap<Arc<str>, AbortHandle>,
}

impl Operations {
    pub(super) fn new() -> Self {
        Self { running: SelectAll::new(), handles: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.handles.contains_key(id)
    }

    /// Starts an operation under an id that is free. `results` are its own, up to their end.
    pub(super) fn start(&mut self, id: &str, request_id: RequestId, results: BoxStream<'static, Response>) {
        let id: Arc<str> = id.into();
        let span = tracing::info_span!("operation", id = %request_id.0);
        let steps = AssertUnwindSafe(in_span(span.clone(), results))
            .catch_unwind()
            .map(move |result| {
                result.map_or_else(
                    |_| {
                        span.in_scope(|| tracing::error!("an operation panicked"));
                        Step::Broken(request_id.clone())
                    },
                    Step::Next,
                )
            })
            .chain(stream::once(std::future::ready(Step::Done)));
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert(Arc::clone(&id), handle);
        self.running.push(Abortable::new(steps.map(move |step| (Arc::clone(&id), step)), registration).boxed());
    }

    /// Ends an operation, whether it has ended by itself or not.
    pub(super) fn remove(&mut self, id: &str) {
        if let Some(handle) = self.handles.remove(id) {
            handle.abort();
        }
    }

    /// The next step of any operation; waits for ever while none runs. Safe to be cancelled.
    pub(super) async fn next(&mut self) -> (Arc<str>, Step) {
        loop {
            match self.running.next().await {
                // Removed while the step was on its way.
                Some((id, _)) if !self.contains(&id) => {}
                Some(step) => return step,
                None => std::future::pending::<()>().await,
            }
        }
    }
}

/// A stream that is polled inside a span, so that the log can tell operations apart.
fn in_span<T>(span: Span, mut results: BoxStream<'static, T>) -> impl Stream<Item = T> {
    stream::poll_fn(move |context| span.in_scope(|| results.poll_next_unpin(context)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn started(list: Vec<(&str, BoxStream<'static, Response>)>) -> Operations {
        let mut operations = Operations::new();
        for (id, results) in list {
            operations.start(id, RequestId(format!("request {id}")), results);
        }
        operations
    }

    #[tokio::test]
    async fn an_operation_ends_after_its_results() {
        let mut operations = started(vec![("a", stream::iter([Response::default()]).boxed())]);
        assert!(matches!(operations.next().await, (id, Step::Next(_)) if &*id == "a"));
        assert!(matches!(operations.next().await, (id, Step::Done) if &*id == "a"));
        operations.remove("a");
        assert_eq!(operations.len(), 0);
        assert!(operations.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_removed_operation_is_dropped_and_says_nothing() {
        let held = Arc::new(());
        let theirs = Arc::clone(&held);
        let results = stream::repeat_with(move || {
            let _ = &theirs;
            Response::default()
        });
        let mut operations = started(vec![("a", results.boxed()), ("b", stream::pending().boxed())]);
        assert!(matches!(operations.next().await, (_, Step::Next(_))));
        operations.remove("a");
        assert!(operations.next().now_or_never().is_none(), "only the quiet one is left");
        assert_eq!((Arc::strong_count(&held), operations.len()), (1, 1));
        operations.start("a", RequestId("again".to_owned()), stream::iter([Response::default()]).boxed());
        assert!(matches!(operations.next().await, (id, Step::Next(_)) if &*id == "a"));
    }

    #[tokio::test]
    async fn a_panic_stays_within_its_operation() {
        let panics = stream::poll_fn(|_| panic!("planted"));
        let mut operations = started(vec![("a", panics.boxed()), ("b", stream::pending().boxed())]);
        let (id, step) = operations.next().await;
        assert!(matches!(step, Step::Broken(request) if request.0 == "request a"), "{id}");
        operations.remove("a");
        assert!(operations.contains("b"));
    }
}
