//! Following a site's stream: every event from now on, in order, none missing.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::sync::watch;

use super::{
    gateway::Gateway,
    types::{Acting, Failure, OrInternal as _},
};
use crate::{
    bus::Follower,
    domain::{
        authorization::{Authorization, AuthorizationStatus},
        event::StreamEvent,
        id::SiteId,
    },
    store,
};

/// How many events are read at once: what one follower holds in memory at most.
const BATCH: u32 = 64;

struct State {
    gateway: Gateway,
    _counted: Counted,
    site: SiteId,
    follower: Follower,
    last: i64,
    read: VecDeque<StreamEvent>,
}

impl Gateway {
    /// The site's events from now on. The bus only wakes; the events are read from the database in the
    /// order of their numbers, so that a lost wake-up delays and never loses.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the stream's position cannot be read. After an error the stream ends.
    pub async fn follow(&self, site: SiteId) -> Result<BoxStream<'static, Result<StreamEvent, Failure>>, Failure> {
        // First the wake-ups, then the position: what is committed in between is noticed.
        let follower = self.bus.follow(site);
        let last = store::stream::position(&self.db, site).await.or_internal("reading the stream's position")?;
        let state = State {
            gateway: self.clone(),
            _counted: Counted::new(&self.followers),
            site,
            follower,
            last,
            read: VecDeque::new(),
        };
        Ok(futures_util::stream::unfold(Some(state), |state| async {
            let mut state = state?;
            match state.next().await {
                Ok(event) => Some((Ok(event), Some(state))),
                Err(failure) => Some((Err(failure), None)),
            }
        })
        .boxed())
    }

    /// How far the streams of these sites have come, for those who notice what other processes commit.
    ///
    /// # Errors
    /// [`Failure::Internal`] where they cannot be read.
    pub async fn stream_positions(&self, sites: &[SiteId]) -> Result<Vec<(SiteId, i64)>, Failure> {
        store::stream::positions(&self.db, sites).await.or_internal("reading the streams' positions")
    }
}

impl Gateway {
    /// One authorization, now and at each change, until it ends. The site's stream only wakes: the authorization is read
    /// from the database.
    ///
    /// # Errors
    /// [`Failure::NotFound`] where it is not the caller's.
    pub async fn follow_authorization(
        &self,
        acting: &Acting,
        token: &str,
    ) -> Result<BoxStream<'static, Result<Authorization, Failure>>, Failure> {
        // First the wake-ups, then the row: what is committed in between is noticed.
        let events = self.follow(acting.site()).await?;
        let first = self.authorization(acting, token).await?;
        let state = Some((self.clone(), acting.clone(), events, first, true));
        Ok(futures_util::stream::unfold(state, |state| async {
            let (gateway, acting, mut events, mut last, fresh) = state?;
            if fresh {
                let ended = last.status(gateway.now()) != AuthorizationStatus::Pending;
                let rest = (!ended).then(|| (gateway, acting, events, last.clone(), false));
                return Some((Ok(last), rest));
            }
            loop {
                tokio::select! {
                    event = events.next() => {
                        if let Err(failure) = event? {
                            return Some((Err(failure), None));
                        }
                    }
                    () = gateway.clock.sleep_until(last.expires_at), if gateway.now() < last.expires_at => {}
                }
                let found = match gateway.authorization(&acting, &last.token).await {
                    Ok(found) => found,
                    Err(failure) => return Some((Err(failure), None)),
                };
                let status = found.status(gateway.now());
                if status != AuthorizationStatus::Pending {
                    return Some((Ok(found), None));
                }
                if found.started != last.started {
                    return Some((Ok(found.clone()), Some((gateway, acting, events, found, false))));
                }
                last = found;
            }
        })
        .boxed())
    }
}

/// Counts one stream for as long as it is followed.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|n| *n += 1);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

impl State {
    async fn next(&mut self) -> Result<StreamEvent, Failure> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(event);
            }
            // On the heap, while it lasts: whoever follows waits nearly always, and is as large as what it might do.
            let events = Box::pin(store::stream::list_after(&self.gateway.db, self.site, self.last, BATCH))
                .await
                .or_internal("reading the stream")?;
            match events.last() {
                Some(event) => {
                    self.last = event.number;
                    self.read = events.into();
                }
                None => self.follower.woken().await,
            }
        }
    }
}
