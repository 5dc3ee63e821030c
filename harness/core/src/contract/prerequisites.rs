//! What must exist before the overlay is applied: the part of the installation guide that is not manifests.

use super::model::{Only, Ref};
use crate::yaml::Located;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Prerequisites {
    pub namespaces: Vec<Located<String>>,
    /// Files of CustomResourceDefinitions, relative to the contract.
    #[serde(default)]
    pub crds: Vec<CrdFile>,
    /// Certificate authorities, made anew for every run.
    #[serde(default)]
    pub authorities: Vec<Authority>,
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    #[serde(default)]
    pub secrets: Vec<Secret>,
    #[serde(default)]
    pub claims: Vec<Claim>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CrdFile {
    pub path: Located<String>,
    /// Who brings these definitions in a real cluster.
    pub from: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Authority {
    pub name: Located<String>,
    pub common_name: String,
}

/// A TLS secret with a certificate signed by an authority.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Certificate {
    pub secret: Located<String>,
    pub namespace: Ref,
    pub authority: Ref,
    pub common_name: String,
    #[serde(default)]
    pub dns_names: Vec<String>,
    pub usage: Vec<KeyUsage>,
    /// Keys of the secret; an ingress certificate has no `ca.crt`.
    #[serde(default = "all_tls_keys")]
    pub keys: Vec<TlsKey>,
    #[serde(default)]
    pub overlays: Only,
}

fn all_tls_keys() -> Vec<TlsKey> {
    vec![TlsKey::Certificate, TlsKey::PrivateKey, TlsKey::Authority]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUsage {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TlsKey {
    #[serde(rename = "tls.crt")]
    Certificate,
    #[serde(rename = "tls.key")]
    PrivateKey,
    #[serde(rename = "ca.crt")]
    Authority,
}

impl TlsKey {
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "tls.crt",
            Self::PrivateKey => "tls.key",
            Self::Authority => "ca.crt",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Secret {
    pub name: Located<String>,
    pub namespace: Ref,
    pub values: BTreeMap<String, SecretValue>,
    #[serde(default)]
    pub optional: bool,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretValue {
    /// This many random bytes in hexadecimal, as `openssl rand -hex N` gives them.
    RandomHex(u16),
    /// A value that is no secret.
    Literal(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Claim {
    pub name: Located<String>,
    pub namespace: Ref,
    pub storage: String,
    #[serde(default)]
    pub overlays: Only,
}
