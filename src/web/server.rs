//! Accepting connections and, at the end, letting them finish.
//!
//! Axum's own `serve` sets no timer, and so waits for a request's head for ever; this loop does not.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::{
    address::Peer,
    connections::{Connections, Full, Seldom},
};
use crate::domain::clock::SharedClock;

/// How long a client may take to read something of an answer, so that one that does not holds nothing for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes; bounds what a GET can carry.
const HEAD_MAX: usize = 64 * 1024;
/// How long to wait after the system had no more file descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How long peers may be silent. Not for operators: tests shorten it.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a client to send the head of its first request or of the next one: an idle connection is kept as long.
    pub head: Duration,
    /// For a peer of a socket to give a sign of life. It is asked for one as often, and gone once it has given none.
    pub alive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), alive: Duration::from_secs(30) }
    }
}

/// Which connections are taken, and how long they may stay idle.
#[derive(Clone)]
pub struct Accepting {
    pub connections: Connections,
    pub timeouts: Timeouts,
    pub clock: SharedClock,
}

/// How serving ends.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Cancelled when the process is to stop. The same as in [`WebState`](super::WebState).
    pub shutdown: CancellationToken,
    /// Connections and sockets. The same as in [`WebState`](super::WebState).
    pub tasks: TaskTracker,
    /// How long requests and sockets may take to end after that.
    pub grace: Duration,
}

/// Serves until `stop.shutdown` is cancelled and every request has been answered and every socket closed, or
/// the grace period is over: what still runs then is dropped.
pub async fn serve(listener: TcpListener, router: Router, accepting: Accepting, stop: Stop) {
    let Accepting { connections, timeouts, clock } = accepting;
    let (mut refused, mut failed) = (Seldom::new(clock.clone()), Seldom::new(clock));
    let force = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = stop.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match connections.place(peer.ip()) {
                Ok(place) => {
                    let peer = Peer { address: peer.ip(), place: Arc::new(place) };
                    let connection = connection(stream, peer, timeouts, router.clone(), stop.shutdown.clone());
                    let force = force.clone();
                    stop.tasks.spawn(async move { force.run_until_cancelled(connection).await });
                }
                // Closed at once, by being dropped.
                Err(Full { bound, setting }) => {
                    if let Some(times) = refused.happened() {
                        let peer = peer.ip();
                        tracing::warn!(%peer, bound, setting, times, "too many connections: the newest are closed");
                    }
                }
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(times) = failed.happened() {
                    tracing::error!(%error, times, "no connection can be accepted");
                }
                // Closing connections give some back; the loop above ends it where the wait is cut short.
                let _ = tokio::time::timeout(EXHAUSTED_PAUSE, stop.shutdown.cancelled()).await;
            }
        }
    }
    drop(listener);
    stop.tasks.close();
    if tokio::time::timeout(stop.grace, stop.tasks.wait()).await.is_err() {
        tracing::warn!(open = stop.tasks.len(), "the grace period is over: open connections are dropped");
        force.cancel();
    }
}

/// Whether the error belongs to the connection that was to be accepted, and not to the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

async fn connection(stream: TcpStream, peer: Peer, timeouts: Timeouts, router: Router, shutdown: CancellationToken) {
    // Answers are written whole; waiting for more to send would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone at once");
        return;
    }
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream = Box::pin(stream);
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.head)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let mut ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.cancelled() => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        ended = Some(connection.await);
    }
    if let Some(Err(error)) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
