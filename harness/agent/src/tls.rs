//! Client TLS from PEM files: who is trusted, and who we say we are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Where the PEM files are. Nothing but the CA given here is trusted; host names are always verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: PathBuf,
    /// Certificate chain and key; both or neither.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// From `<prefix>_TLS_CA`, `_TLS_CERT`, `_TLS_KEY`, as `get` gives them. No CA, no TLS of our own making.
    ///
    /// # Errors
    /// A certificate without key, a key without certificate, either without CA.
    pub fn from_env(prefix: &str, get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let path = |end: &str| get(&format!("{prefix}_TLS_{end}")).map(PathBuf::from);
        match (path("CA"), path("CERT"), path("KEY")) {
            (None, None, None) => Ok(None),
            (Some(ca), None, None) => Ok(Some(Self { ca, identity: None })),
            (Some(ca), Some(cert), Some(key)) => Ok(Some(Self { ca, identity: Some((cert, key)) })),
            (None, ..) => bail!("{prefix}_TLS_CERT or {prefix}_TLS_KEY is set without {prefix}_TLS_CA"),
            _ => bail!("{prefix}_TLS_CERT and {prefix}_TLS_KEY must be set together"),
        }
    }

    /// For the redis crate.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn for_redis(&self) -> Result<redis::TlsCertificates> {
        let client_tls = match &self.identity {
            Some((cert, key)) => Some(redis::ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
            None => None,
        };
        Ok(redis::TlsCertificates { client_tls, root_cert: Some(read(&self.ca)?) })
    }

    /// For everything that speaks rustls.
    ///
    /// # Errors
    /// A file that cannot be read or holds no PEM of its kind.
    pub fn client_config(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate).with_context(|| format!("{} holds no usable CA", self.ca.display()))?;
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let Some((cert, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, "private key", &error))?;
        builder
            .with_client_auth_cert(certificates(cert)?, private)
            .with_context(|| format!("{} and {} do not make an identity", cert.display(), key.display()))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(path, "certificate", &error))
}

fn unusable(path: &Path, what: &str, error: &rustls::pki_types::pem::Error) -> anyhow::Error {
    anyhow::anyhow!("{} holds no usable {what}: {error}", path.display())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{} could not be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[&str]) -> Result<Option<TlsFiles>> {
        TlsFiles::from_env("NATS", |name| vars.contains(&name).then(|| format!("/tls/{name}")))
    }

    #[test]
    fn identity_needs_both_halves_and_a_ca() {
        assert_eq!(from(&[]).unwrap(), None);
        assert!(from(&["NATS_TLS_CA"]).unwrap().unwrap().identity.is_none());
        assert!(from(&["NATS_TLS_CA", "NATS_TLS_CERT", "NATS_TLS_KEY"]).unwrap().unwrap().identity.is_some());
        assert!(from(&["NATS_TLS_CA", "NATS_TLS_CERT"]).is_err());
        assert!(from(&["NATS_TLS_CERT", "NATS_TLS_KEY"]).is_err());
    }
}
