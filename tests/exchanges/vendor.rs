//! A vendor that has been told its next answer: a TLS server with a certificate for each of the vendor's real host
//! names, which speaks HTTP/2 and HTTP/1.1.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::{Body, Bytes, to_bytes};
use http::{HeaderMap, Method, Request, Response, uri::Authority as Named};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use integrations_gateway::domain::exchange::TransportError;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, server::ResolvesServerCertUsingSni, sign::CertifiedKey},
};

use super::document::Reply;
use crate::support::authority::Authority;

/// A request as it came in.
#[derive(Debug)]
pub struct Arrived {
    /// The name that the TLS handshake asked for.
    pub server_name: Option<String>,
    pub method: Method,
    /// Host, and port where it is said.
    pub authority: String,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
struct Shared {
    next: Mutex<Option<Reply>>,
    arrived: Mutex<Vec<Arrived>>,
}

/// The running server.
pub struct Vendor {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Vendor {
    pub async fn start(authority: &Authority, hosts: &BTreeSet<String>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut names = ResolvesServerCertUsingSni::new();
        for host in hosts {
            let (certificate, key) = authority.certify(vec![host.clone()]);
            let certified = CertifiedKey::from_der(vec![certificate], key, &provider).expect("a key");
            names.add(host, certified).expect("a host's name");
        }
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(names));
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared, task }
    }

    /// What the next request is answered by.
    pub fn will_answer(&self, reply: &Reply) {
        *lock(&self.shared.next) = Some(reply.clone());
    }

    /// What has come in since the last time.
    pub fn take_arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut *lock(&self.shared.arrived))
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, shared: Arc<Shared>) {
    // A client that does not like the certificate says so itself.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let session = stream.get_ref().1;
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let server_name = session.server_name().map(str::to_owned);
    let service = service_fn(move |request| answer(request, server_name.clone(), Arc::clone(&shared)));
    let stream = TokioIo::new(stream);
    // How the connection ends does not matter.
    if is_http2 {
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(stream, service).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    server_name: Option<String>,
    shared: Arc<Shared>,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.map_err(io::Error::other)?;
    let host = parts.headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let authority = parts.uri.authority().map(Named::to_string).or(host).unwrap_or_default();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let arrived = Arrived { server_name, method: parts.method, authority, path, headers: parts.headers, body };
    lock(&shared.arrived).push(arrived);
    let reply = lock(&shared.next).take();
    match reply.as_ref().map(Reply::to_result) {
        Some(Ok(answer)) => {
            let mut response = Response::new(Body::from(answer.body));
            *response.status_mut() = answer.status.try_into().expect("a status");
            *response.headers_mut() = answer.headers;
            Ok(response)
        }
        // Nobody is answered, as long as they wait.
        Some(Err(none)) if none.error == TransportError::Timeout => std::future::pending().await,
        // The connection, or the stream, ends without an answer.
        Some(Err(_)) | None => Err(io::Error::other("no answer")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
