//! A certificate authority of the test's own.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// It certifies whatever name it is asked for.
pub struct Authority {
    /// The root, for whoever is to trust it.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).expect("a root").pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    /// A certificate for these hosts, and its key.
    pub fn certify(&self, hosts: Vec<String>) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(hosts).expect("names").signed_by(&key, &self.issuer).expect("a leaf");
        (leaf.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
    }
}
