//! A plain HTTP client for talking to the gateway and to receivers.

/// A client that uses no proxy.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are clients of the gateway; only the gateway's own calls go through egress"
)]
pub fn client() -> reqwest::Client {
    // Whoever comes second finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// A client that follows no redirect.
#[expect(clippy::disallowed_methods, reason = "tests are clients of the gateway")]
pub fn client_without_redirects() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}
