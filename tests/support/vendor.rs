//! A vendor in the hands of the test: a real server on a real socket, over TLS or plain, that answers
//! as the test says and remembers what it was asked.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use super::authority::Authority;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Recorded {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// What the vendor answers.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
    /// Do not answer before this many requests have come in all.
    pub hold_until: usize,
    /// Close the connection before the answer has ended.
    pub cut: bool,
}

impl Reply {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = HashMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        Self { status, headers, body: body.to_string(), hold_until: 0, cut: false }
    }

    pub fn status(status: u16) -> Self {
        Self { status, headers: HashMap::new(), body: String::new(), hold_until: 0, cut: false }
    }

    /// Not given before the vendor is let go on.
    pub fn held(self) -> Self {
        Self { hold_until: usize::MAX, ..self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }
}

type Script = Box<dyn Fn(&Recorded) -> Reply + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Recorded>>,
    count: watch::Sender<usize>,
    /// How often what is held was let go.
    released: watch::Sender<usize>,
}

/// The running server.
pub struct Vendor {
    pub address: SocketAddr,
    /// The root that its TLS certificate is signed by; none for a plain server.
    pub ca_pem: Option<String>,
    hosts: Vec<String>,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Vendor {
    /// A plain HTTP server that answers 204 until told otherwise.
    pub async fn plain() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (shared, router) = shared();
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serving");
        });
        Self { address, ca_pem: None, hosts: Vec::new(), shared, task }
    }

    /// A TLS server that stands for all of these hosts.
    pub async fn tls(hosts: &[&str]) -> Self {
        let authority = Authority::new();
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let (certificate, key) = authority.certify(names.clone());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a server configuration");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = tcp.local_addr().expect("an address");
        let listener = TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
        let (shared, router) = shared();
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serving");
        });
        Self { address, ca_pem: Some(authority.pem), hosts: names, shared, task }
    }

    /// The setting that makes the gateway dial this server for its hosts.
    pub fn connect_to(&self) -> String {
        let rules: Vec<String> = self.hosts.iter().map(|host| format!("{host}:443={}", self.address)).collect();
        rules.join(",")
    }

    /// From now on, every request is answered by this.
    pub fn answer(&self, script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) {
        *lock(&self.shared.script) = Box::new(script);
    }

    /// Answers now whatever is held.
    pub fn release(&self) {
        self.shared.released.send_modify(|n| *n += 1);
    }

    /// What has come in so far.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// Waits until so many requests have come in, or for so long; gives how many there are.
    pub async fn count_within(&self, count: usize, within: Duration) -> usize {
        let mut seen = self.shared.count.subscribe();
        let _ = tokio::time::timeout(within, seen.wait_for(|n| *n >= count)).await;
        *seen.borrow()
    }

    /// Waits until so many requests have come in, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Recorded> {
        let mut seen = self.shared.count.subscribe();
        tokio::time::timeout(Duration::from_secs(20), seen.wait_for(|n| *n >= count))
            .await
            .unwrap_or_else(|_| panic!("{count} requests were expected, {} came", self.requests().len()))
            .expect("the vendor is there");
        self.requests()
    }

    /// Waits until it has been asked at this path, after so many requests; gives how many there have been by then.
    pub async fn wait_for_path(&self, path: &str, after: usize) -> usize {
        let mut seen = after;
        loop {
            seen += 1;
            let requests = self.wait_for(seen).await;
            if requests[seen - 1].path.split('?').next() == Some(path) {
                return seen;
            }
        }
    }
}

fn shared() -> (Arc<Shared>, Router) {
    let shared = Arc::new(Shared {
        script: Mutex::new(Box::new(|_| Reply::status(204))),
        requests: Mutex::default(),
        count: watch::channel(0).0,
        released: watch::channel(0).0,
    });
    (Arc::clone(&shared), Router::new().fallback(handle).with_state(shared))
}

async fn handle(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let recorded = Recorded { path, headers, body: String::from_utf8_lossy(&body).into_owned() };
    let (mut seen, mut released) = (shared.count.subscribe(), shared.released.subscribe());
    let reply = lock(&shared.script)(&recorded);
    lock(&shared.requests).push(recorded);
    shared.count.send_modify(|n| *n += 1);
    tokio::select! {
        _ = seen.wait_for(|n| *n >= reply.hold_until) => {}
        _ = released.changed() => {}
    }
    let body = if reply.cut {
        Body::from_stream(futures_util::stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("cut off"))]))
    } else {
        Body::from(reply.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status");
    for (name, value) in &reply.headers {
        response.headers_mut().insert(
            axum::http::HeaderName::try_from(name.as_str()).expect("a header's name"),
            value.parse().expect("a header's value"),
        );
    }
    response
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
