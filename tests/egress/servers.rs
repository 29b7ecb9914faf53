//! Servers that do what no well-behaved one does, and one that speaks both versions of HTTP.

use std::{net::SocketAddr, sync::Arc};

use axum::extract::Request;
use http::uri::Authority;
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::rustls;

/// A server that answers every connection by this, and then does what `then` says.
pub async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads to the end of the body: what is left unread would turn the close into a reset.
pub async fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nbody-secret") && stream.read_buf(&mut seen).await.unwrap_or_default() > 0 {}
}

/// A TLS server that speaks HTTP/2 and HTTP/1.1, and answers with the version, the authority and the Host header
/// that it was asked with. (That hyper knows HTTP/2 here comes from reqwest's feature of that name.)
pub async fn two_protocols(name: &str) -> (SocketAddr, String) {
    async fn told(request: Request) -> String {
        let host = request.headers().get("host").map(|host| host.to_str().expect("a host").to_owned());
        format!("{:?} {:?} {host:?}", request.version(), request.uri().authority().map(Authority::as_str))
    }
    let signed = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![signed.cert.der().clone()],
            signed.signing_key.serialize_der().try_into().expect("a key"),
        )
        .expect("a server configuration");
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let address = raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.expect("a handshake");
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = TowerToHyperService::new(axum::Router::new().fallback(told));
            let stream = TokioIo::new(stream);
            // How the connection ends does not matter.
            if is_http2 {
                let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
            } else {
                let _ = http1::Builder::new().serve_connection(stream, service).await;
            }
        }
    })
    .await;
    (address, signed.cert.pem())
}
