//! The cluster's certificates: its authority, the server's certificate, and clients that it signs.
//!
//! Keys live in memory only; what leaves it is what a kubeconfig needs.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("making a certificate for {subject} failed")]
    Certificate { subject: String, source: rcgen::Error },
    #[error("setting up TLS for the API server failed")]
    Tls(#[from] rustls::Error),
    #[error("setting up the check of client certificates failed: {0}")]
    Verifier(String),
}

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// A certificate authority of one cluster.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

impl Pki {
    /// `name` tells clusters apart in certificate viewers; it has no other meaning.
    pub fn generate(name: &str) -> Result<Self, PkiError> {
        let subject = format!("{name}-ca");
        let failed = |source| PkiError::Certificate { subject: subject.clone(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = parameters(&subject, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(failed)?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Ok(Self { issuer: Issuer::new(params, key), certificate: der, certificate_pem: pem })
    }

    /// What clients trust, and what `kube-root-ca.crt` says.
    pub fn ca_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A client certificate: the common name is the user, organizations are its groups.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Identity, PkiError> {
        let mut params = parameters(user, groups);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate, key) = self.sign(user, params)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// TLS for the server, reachable under these names and addresses. Client certificates are asked for but optional:
    /// tokens and anonymous requests come without.
    pub fn server_config(&self, names: &[&str], addresses: &[IpAddr]) -> Result<rustls::ServerConfig, PkiError> {
        let subject = "kube-apiserver";
        let mut params = parameters(subject, &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            let name =
                (*name).try_into().map_err(|source| PkiError::Certificate { subject: subject.into(), source })?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.subject_alt_names.extend(addresses.iter().map(|ip| SanType::IpAddress(*ip)));
        let (certificate, key) = self.sign(subject, params)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| PkiError::Verifier(error.to_string()))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone(), self.certificate.clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A kubeconfig with everything in it. `server` is an URL.
    pub fn kubeconfig(&self, cluster: &str, server: &str, user: &str, identity: &Identity) -> String {
        let ca = STANDARD.encode(&self.certificate_pem);
        let certificate = STANDARD.encode(&identity.certificate_pem);
        let key = STANDARD.encode(&identity.key_pem);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {cluster}\n\
             clusters:\n- name: {cluster}\n  cluster:\n    server: {server}\n    certificate-authority-data: {ca}\n\
             contexts:\n- name: {cluster}\n  context:\n    cluster: {cluster}\n    user: {user}\n\
             users:\n- name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
        )
    }

    fn sign(&self, subject: &str, params: CertificateParams) -> Result<(rcgen::Certificate, KeyPair), PkiError> {
        let failed = |source| PkiError::Certificate { subject: subject.into(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok((certificate, key))
    }
}

fn parameters(subject: &str, groups: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    for group in groups {
        params.distinguished_name.push(DnType::OrganizationName, *group);
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::authenticate::user_of_certificate;

    #[test]
    fn client_certificates_name_user_and_groups() {
        let pki = Pki::generate("test").unwrap();
        let identity = pki.client("admin", &["system:masters"]).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(identity.certificate_pem.as_bytes()).unwrap();
        let user = user_of_certificate(&pem.contents).unwrap();
        assert_eq!(user.name, "admin");
        assert!(user.groups.contains(&"system:masters".to_owned()));
    }

    #[test]
    fn a_server_can_be_configured_for_names_and_addresses() {
        let pki = Pki::generate("test").unwrap();
        assert!(pki.server_config(&["localhost"], &["127.0.0.1".parse().unwrap()]).is_ok());
    }
}
