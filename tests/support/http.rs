//! A plain HTTP client for talking to the gateway and to receivers.

use reqwest::redirect::Policy;

/// A client that uses no proxy.
pub fn client() -> reqwest::Client {
    build(Policy::default())
}

/// As [`client`], but it stays where it is when it is sent elsewhere.
pub fn client_that_stays() -> reqwest::Client {
    build(Policy::none())
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are clients of the gateway; only the gateway's own calls go through egress"
)]
fn build(redirects: Policy) -> reqwest::Client {
    // Whoever comes second finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(redirects).build().expect("a client")
}
