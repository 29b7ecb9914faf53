//! All exchanges over TLS, through the real egress, to the vendors' real host names: what arrives is what was built,
//! byte for byte, and what is concluded is what the files say.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use integrations_gateway::{
    connector::Connector,
    domain::exchange::{Answer, NoAnswer, OutboundRequest, TransportError},
    egress::{AllowedDestination, ConnectTo, Egress, EgressSettings, Limits},
};
use tokio::runtime::Handle;

use super::{
    document::{Exchange, Reply},
    files, library,
    transport::Transport,
    vendor::{Arrived, Vendor},
    walk::{Walk, Walked, same},
};
use crate::support::authority::Authority;

/// What the egress adds to a request.
const ADDED: [&str; 5] = ["host", "user-agent", "accept", "accept-encoding", "content-length"];
const MAX_BODY: usize = 1024 * 1024;
const PATIENT: Duration = Duration::from_secs(30);

struct Live {
    runtime: Handle,
    vendor: Vendor,
    egress: Egress,
    /// May not call the vendor, whose address is not public.
    confined: Egress,
}

impl Live {
    async fn start(authority: &Authority, hosts: &BTreeSet<String>) -> Self {
        let vendor = Vendor::start(authority, hosts).await;
        let egress = |allowed| {
            let settings = EgressSettings {
                allowed: AllowedDestination::parse_list(allowed).expect("ranges"),
                connect_to: ConnectTo::parse_list(&format!("*={}", vendor.address)).expect("a rule"),
                extra_ca_pem: Some(authority.pem.clone().into_bytes()),
                connect_timeout: PATIENT,
            };
            Egress::new(settings).expect("an egress")
        };
        let (egress, confined) = (egress("127.0.0.0/8"), egress(""));
        Self { runtime: Handle::current(), vendor, egress, confined }
    }

    fn call(&self, egress: &Egress, request: &OutboundRequest, timeout: Duration) -> Result<Answer, NoAnswer> {
        self.runtime.block_on(egress.send(request.clone(), Limits { timeout, max_body: MAX_BODY }))
    }
}

impl Transport for Live {
    fn send(&self, place: &str, request: &OutboundRequest, reply: &Reply) -> Walked<Result<Answer, NoAnswer>> {
        self.vendor.will_answer(reply);
        let Err(expected) = reply.to_result() else {
            let answer =
                self.call(&self.egress, request, PATIENT).map_err(|none| format!("{place}: {}", none.detail))?;
            arrived_as_built(place, &self.vendor.take_arrived(), request)?;
            return Ok(Ok(answer));
        };
        let mut arrived = Vec::new();
        let found = match expected.error {
            TransportError::Forbidden => self.call(&self.confined, request, PATIENT),
            TransportError::Network => self.call(&self.egress, request, PATIENT),
            TransportError::Timeout => {
                // A machine that is busy may need longer to let the request arrive at all.
                let limits = [Duration::from_millis(200), Duration::from_secs(2), PATIENT];
                let mut limits = limits.into_iter();
                loop {
                    let limit = limits.next().ok_or_else(|| format!("{place}: the request did not arrive"))?;
                    let found = self.call(&self.egress, request, limit);
                    arrived = self.vendor.take_arrived();
                    if !arrived.is_empty() {
                        break found;
                    }
                }
            }
        };
        arrived.extend(self.vendor.take_arrived());
        let none = found.err().ok_or_else(|| format!("{place}: an answer came"))?;
        same(place, &none.error, &expected.error)?;
        if expected.error == TransportError::Forbidden {
            same(place, &arrived.len(), &0)?;
        } else {
            arrived_as_built(place, &arrived, request)?;
        }
        // The words are the egress' own, and held by its tests.
        Ok(Err(NoAnswer { detail: expected.detail, ..none }))
    }
}

fn arrived_as_built(place: &str, arrived: &[Arrived], request: &OutboundRequest) -> Walked {
    let [arrived] = arrived else { return Err(format!("{place}: {} requests arrived", arrived.len())) };
    let url = &request.url;
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let host = url.host_str().unwrap_or_default();
    same(place, &arrived.server_name.as_deref(), &Some(host))?;
    same(place, &arrived.authority, &format!("{host}{port}"))?;
    same(place, &arrived.method, &request.method)?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    same(place, &arrived.path, &format!("{}{query}", url.path()))?;
    let mut headers = arrived.headers.clone();
    for name in ADDED.iter().filter(|name| !request.headers.contains_key(**name)) {
        headers.remove(*name);
    }
    same(place, &headers, &request.headers)?;
    same(place, &arrived.body.as_ref(), &request.body.expose())
}

/// The hosts that a connector's exchanges call.
fn hosts(exchanges: &[(String, Exchange)]) -> BTreeSet<String> {
    let calls = exchanges.iter().flat_map(|(_, exchange)| exchange.calls());
    let urls = calls.map(|request| url::Url::parse(&request.url).expect("a URL"));
    urls.filter_map(|url| url.host_str().map(str::to_owned)).collect()
}

async fn walk(authority: Arc<Authority>, connector: Arc<Connector>) -> Vec<String> {
    let exchanges = files::exchanges(&connector.slug);
    let live = Live::start(&authority, &hosts(&exchanges)).await;
    let walk = move || {
        let walks = exchanges.iter().map(|(place, exchange)| {
            let walk = Walk { connector: &connector, place, exchange, transport: &live };
            walk.walk()
        });
        walks.filter_map(Result::err).collect()
    };
    tokio::task::spawn_blocking(walk).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_over_tls() {
    let authority = Arc::new(Authority::new());
    let library = library();
    let walks =
        library.list().iter().map(|connector| tokio::spawn(walk(Arc::clone(&authority), Arc::clone(connector))));
    let mut differences = Vec::new();
    for walk in walks.collect::<Vec<_>>() {
        differences.extend(walk.await.expect("no panic"));
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
