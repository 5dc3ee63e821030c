//! Certificates made anew for every run. Keys exist in memory and in the cluster's secrets, nowhere else.

use gauntlet_core::Trouble;
use gauntlet_core::contract::prerequisites::{Authority, Certificate, KeyUsage, TlsKey};
use gauntlet_core::trouble::OrTrouble;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use std::collections::BTreeMap;

/// An authority that signs certificates for one run.
pub struct Issuer {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Issuer {
    /// # Errors
    /// No key could be made.
    pub fn new(authority: &Authority) -> Result<Self, Trouble> {
        let doing = || format!("cannot make the authority `{}`", authority.name.value);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, &authority.common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().or_trouble(doing)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).or_trouble(doing)? })
    }

    /// The data of the certificate's secret, in PEM.
    ///
    /// # Errors
    /// A name that no certificate can carry, or no key could be made.
    pub fn issue(&self, certificate: &Certificate) -> Result<BTreeMap<String, String>, Trouble> {
        let doing = || format!("cannot make the certificate of `{}`", certificate.secret.value);
        let mut params = CertificateParams::new(certificate.dns_names.clone()).or_trouble(doing)?;
        params.distinguished_name.push(DnType::CommonName, &certificate.common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = certificate.usage.iter().copied().map(purpose).collect();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().or_trouble(doing)?;
        let signed = params.signed_by(&key, &self.issuer).or_trouble(doing)?;
        let value = |wanted: TlsKey| match wanted {
            TlsKey::Certificate => signed.pem(),
            TlsKey::PrivateKey => key.serialize_pem(),
            TlsKey::Authority => self.issuer.pem(),
        };
        Ok(certificate.keys.iter().map(|wanted| (wanted.name().to_owned(), value(*wanted))).collect())
    }
}

fn purpose(usage: KeyUsage) -> ExtendedKeyUsagePurpose {
    match usage {
        KeyUsage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        KeyUsage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }
}
