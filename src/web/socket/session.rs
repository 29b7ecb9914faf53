//! One socket from its handshake to its close.

use std::{future::Future, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use chrono::TimeDelta;
use futures_util::SinkExt as _;
use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    super::{
        Shared,
        answer::internal_error,
        authentication::{Admitted, Refused, admit},
        envelope::RequestId,
        parameters,
        throttle::{SocketPlace, Wait},
        token::Standing,
    },
    PROTOCOL,
    operations::{Operations, Step},
    protocol::{self, ClientMessage, Close, ServerMessage},
};
use crate::{
    domain::principal::Principal,
    graphql::{is_request_error, to_json},
    service::Caller,
};

/// How long a client may take to say `connection_init`, in seconds.
const INIT_SECONDS: i64 = 10;

// The following are about the transport, and so kept by the runtime's monotonic timer: a wall clock that
// jumps must not cut off a peer that is well.

/// How long a peer may take to read a message.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a socket ends.
enum End {
    /// The peer is gone.
    Gone,
    /// The peer has closed it.
    Closed,
    /// The server closes it.
    Close(Close),
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// One socket.
pub(super) struct Session {
    state: Shared,
    socket: WebSocket,
    /// Whom the handshake's header named.
    named: Option<Admitted>,
    /// Who asks, once `connection_init` was acknowledged, and what that rests on.
    principal: Option<Principal>,
    standing: Standing,
    operations: Operations,
    /// Counts among the caller's sockets, from the acknowledgement on.
    place: Option<SocketPlace>,
}

impl Session {
    pub(super) fn new(state: Shared, socket: WebSocket, named: Option<Admitted>) -> Self {
        Self {
            state,
            socket,
            named,
            principal: None,
            standing: Standing::default(),
            operations: Operations::new(),
            place: None,
        }
    }

    /// Runs the socket to its end.
    pub(super) async fn run(mut self) {
        let end = if self.socket.protocol().is_some_and(|protocol| protocol.as_bytes() == PROTOCOL.as_bytes()) {
            self.converse().await.err().unwrap_or(End::Gone)
        } else {
            Close::subprotocol().into()
        };
        match end {
            End::Gone => {}
            End::Closed => self.drain().await,
            End::Close(close) => {
                tracing::debug!(code = close.code, reason = close.reason, "closing a socket");
                let frame = CloseFrame { code: close.code, reason: close.reason.into() };
                if self.write(Message::Close(Some(frame))).await.is_ok() {
                    self.drain().await;
                }
            }
        }
    }

    async fn converse(&mut self) -> Result<(), End> {
        let clock = self.state.clock.clone();
        let shutdown = self.state.shutdown.clone();
        let mut deadline = clock.sleep_until(clock.now() + TimeDelta::seconds(INIT_SECONDS));
        let mut alive = true;
        #[expect(
            clippy::disallowed_methods,
            reason = "a peer that is gone is noticed by real time, whatever the clock says"
        )]
        let mut ping = interval(self.state.settings.timeouts.alive);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.tick().await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Err(Close::going_away().into()),
                () = &mut deadline => return Err(self.too_late().into()),
                received = self.socket.recv() => {
                    alive = true;
                    let initialised = self.principal.is_some();
                    // On the heap, while it lasts: a socket waits nearly always.
                    Box::pin(self.receive(received)).await?;
                    if let Some(principal) = self.principal.as_ref().filter(|_| !initialised) {
                        deadline = clock.sleep_until(principal.expires_at);
                    }
                }
                (id, step) = self.operations.next() => {
                    // Which branch runs is chosen at random where several could.
                    if self.principal.as_ref().is_none_or(|principal| principal.expires_at <= clock.now()) {
                        return Err(self.too_late().into());
                    }
                    Box::pin(self.advance(&id, step)).await?;
                }
                _ = ping.tick() => {
                    if !alive {
                        return Err(End::Gone);
                    }
                    alive = false;
                    still_stands(&self.state, &self.standing).await?;
                    self.write(Message::Ping(Vec::new().into())).await?;
                }
            }
        }
    }

    fn too_late(&self) -> Close {
        if self.principal.is_some() { Close::forbidden("The token has expired") } else { Close::init_timeout() }
    }

    async fn receive(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match received {
            None => return Err(End::Gone),
            Some(Ok(Message::Close(_))) => return Err(End::Closed),
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => return Err(Close::bad_request("Messages are text").into()),
            // The library has made the answer; unless it is sent now, pings of a peer that does not read pile up.
            Some(Ok(Message::Ping(_))) => return self.flush().await,
            Some(Ok(Message::Pong(_))) => return Ok(()),
            Some(Err(error)) => return Err(self.unreadable(&error).into()),
        };
        match ClientMessage::parse(&text)? {
            ClientMessage::ConnectionInit { payload } => self.initialise(payload.unwrap_or_default()).await,
            ClientMessage::Ping { payload } => self.say(&ServerMessage::Pong { payload }).await,
            ClientMessage::Pong => Ok(()),
            ClientMessage::Subscribe { id, payload } => self.subscribe(&id, payload).await,
            ClientMessage::Complete { id } => {
                self.operations.remove(&id);
                Ok(())
            }
        }
    }

    /// The close for a frame that could not be read. The library's error is not told apart by type.
    fn unreadable(&self, error: &axum::Error) -> Close {
        if error.to_string().contains("too long") {
            Close::too_big(self.state.settings.max_body)
        } else {
            Close::protocol_error()
        }
    }

    async fn initialise(&mut self, payload: Map<String, Value>) -> Result<(), End> {
        if self.principal.is_some() {
            return Err(Close::too_many_init_requests().into());
        }
        let credentials = payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let admitted = match (credentials, self.named.take()) {
            (Some((_, Value::String(credentials))), _) => admit(&self.state, credentials).await,
            (None, Some(named)) if named.principal.expires_at > self.state.clock.now() => Ok(named),
            _ => Err(Refused::Unauthenticated),
        };
        let Admitted { principal, standing } = admitted.map_err(|refused| match refused {
            Refused::Unauthenticated => Close::forbidden("Forbidden"),
            Refused::Internal => Close::internal(),
        })?;
        self.place = Some(self.state.throttle.socket(&principal).map_err(Close::too_many_sockets)?);
        self.principal = Some(principal);
        self.standing = standing;
        still_stands(&self.state, &self.standing).await?;
        self.say(&ServerMessage::ConnectionAck).await
    }

    async fn subscribe(&mut self, id: &str, payload: Map<String, Value>) -> Result<(), End> {
        let Some(principal) = &self.principal else {
            return Err(Close::unauthorized().into());
        };
        still_stands(&self.state, &self.standing).await?;
        if self.operations.contains(id) {
            return Err(Close::already_exists(id).into());
        }
        let incoming = parameters::from_object(payload).map_err(Close::bad_request)?;
        let max = self.state.settings.max_subscriptions;
        if self.operations.len() >= max {
            let message = format!("A socket runs at most {max} operations at a time (GATEWAY_MAX_SUBSCRIPTIONS).");
            let payload = json!([{ "message": message, "extensions": { "code": "LIMIT_EXCEEDED" } }]);
            return self.say(&ServerMessage::Error { id, payload }).await;
        }
        if let Err(Wait(seconds)) = self.state.throttle.caller(principal) {
            let message = "You have asked too often (GATEWAY_RATE_LIMIT).";
            let extensions = json!({ "code": "LIMIT_EXCEEDED", "retryAfter": seconds });
            let payload = json!([{ "message": message, "extensions": extensions }]);
            return self.say(&ServerMessage::Error { id, payload }).await;
        }
        let request_id = RequestId::new(&*self.state.entropy);
        let caller = Caller { principal: principal.clone(), request_id: request_id.0.clone() };
        let results = match self.state.api.check(incoming) {
            Ok(ready) => self.state.api.execute_stream(caller, ready),
            Err(response) => {
                let payload = serde_json::to_value(&response.errors).unwrap_or_default();
                return self.say(&ServerMessage::Error { id, payload }).await;
            }
        };
        self.operations.start(id, request_id, results);
        Ok(())
    }

    /// Says what an operation brought.
    async fn advance(&mut self, id: &str, step: Step) -> Result<(), End> {
        match step {
            Step::Next(response) if is_request_error(&response) => {
                self.operations.remove(id);
                let payload = serde_json::to_value(&response.errors).unwrap_or_default();
                self.say(&ServerMessage::Error { id, payload }).await
            }
            Step::Next(response) => self.write(Message::Text(protocol::next(id, &to_json(&response)).into())).await,
            Step::Broken(request_id) => {
                self.operations.remove(id);
                self.say(&ServerMessage::Error { id, payload: json!([internal_error(&request_id)]) }).await
            }
            Step::Done => {
                self.operations.remove(id);
                self.say(&ServerMessage::Complete { id }).await
            }
        }
    }

    async fn say(&mut self, message: &ServerMessage<'_>) -> Result<(), End> {
        // Values with string keys always serialize.
        let text = serde_json::to_string(message).map_err(|_| Close::internal())?;
        self.write(Message::Text(text.into())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        read_by_peer(self.socket.send(message)).await
    }

    /// Sends what the library has made by itself.
    async fn flush(&mut self) -> Result<(), End> {
        read_by_peer(self.socket.flush()).await
    }

    /// Reads on until the closing handshake is over. It ends a close that the peer began, and makes sure
    /// that the peer sees ours: a connection that is dropped with something unread is reset.
    async fn drain(&mut self) {
        let over =
            async { while matches!(self.socket.recv().await, Some(Ok(_))) && self.socket.flush().await.is_ok() {} };
        if timeout(CLOSE_TIMEOUT, over).await.is_err() {
            tracing::debug!("a peer did not answer a close");
        }
    }
}

/// Closes the socket of a token whose key has been withdrawn.
async fn still_stands(state: &Shared, standing: &Standing) -> Result<(), End> {
    if state.tokens.stands(standing).await {
        return Ok(());
    }
    Err(Close::forbidden("The token is not valid any more").into())
}

/// Waits until the peer has taken what is sent, but not for ever.
async fn read_by_peer(sent: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    match timeout(WRITE_TIMEOUT, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => {
            tracing::info!("a peer that does not read is cut off");
            Err(End::Gone)
        }
    }
}
