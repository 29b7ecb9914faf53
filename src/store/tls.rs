//! TLS to PostgreSQL. The server's certificate and name are always checked.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Result, StoreError};

fn wrong(what: impl std::fmt::Display) -> StoreError {
    StoreError::InvalidUrl(format!(
        "GATEWAY_DATABASE_CA: {what}; right is a PEM file with at least one `-----BEGIN CERTIFICATE-----`"
    ))
}

/// Trusts the public roots, and those of the PEM text.
pub(super) fn connector(ca_pem: Option<&[u8]>) -> Result<MakeRustlsConnect> {
    let mut roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>();
    if let Some(pem) = ca_pem {
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(wrong)?).map_err(wrong)?;
            found = true;
        }
        if !found {
            return Err(wrong("it holds no certificate"));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
