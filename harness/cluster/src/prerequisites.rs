//! What the contract says must exist before the overlay is applied: namespaces, CRDs, certificates, secrets, claims.

use crate::access::Access;
use crate::apply;
use crate::progress::{Progress, Waiting};
use crate::tls::Issuer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::prerequisites::{Claim, Secret, SecretValue};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Trouble, yaml};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// How long the API may take to serve a new kind.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// Creates them. `folder` is where the contract lies.
///
/// # Errors
/// A file that cannot be read, or what the API refused.
pub async fn create(
    access: &Access,
    run: &str,
    deployment: Deployment<'_>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), Trouble> {
    let definitions = definitions(deployment, folder)?;
    apply::apply(access, run, definitions.clone()).await?;
    for definition in &definitions {
        established(access, definition["metadata"]["name"].as_str().unwrap_or_default(), progress).await?;
    }
    let mut objects = namespaces(deployment);
    objects.extend(certificates(deployment)?);
    objects.extend(secrets(deployment)?);
    objects.extend(deployment.claims().map(claim));
    apply::apply(access, run, objects).await?;
    Ok(())
}

/// The kinds and the claims among them: what a cluster has to be asked for beyond what every run makes.
///
/// # Errors
/// A file that cannot be read.
pub fn beforehand(deployment: Deployment<'_>, folder: &Path) -> Result<Vec<Value>, Trouble> {
    let mut objects = definitions(deployment, folder)?;
    objects.extend(deployment.claims().map(claim));
    Ok(objects)
}

fn definitions(deployment: Deployment<'_>, folder: &Path) -> Result<Vec<Value>, Trouble> {
    let mut all = Vec::new();
    for file in &deployment.contract.prerequisites.crds {
        let path = folder.join(&file.path.value);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Trouble::input(format!("cannot read {}: {error}", path.display())))?;
        let name = path.display().to_string();
        all.extend(yaml::parse_all(&name, &text).map_err(|problem| Trouble::input(problem.to_string()))?);
    }
    Ok(all)
}

async fn established(access: &Access, name: &str, progress: &dyn Progress) -> Result<(), Trouble> {
    let mut waiting = Waiting::start(format!("the kind {name} to be served"), ESTABLISHED_WITHIN, progress);
    waiting.seen("not established");
    let api: Api<CustomResourceDefinition> = Api::all(access.client.clone());
    let condition = await_condition(api, name, conditions::is_crd_established());
    match tokio::time::timeout_at(waiting.until(), condition).await {
        Ok(result) => result.map(drop).or_trouble(|| format!("cannot watch the kind {name}")),
        Err(_) => Err(Trouble::harness(waiting.gave_up())),
    }
}

fn namespaces(deployment: Deployment<'_>) -> Vec<Value> {
    let names = deployment.contract.prerequisites.namespaces.iter();
    names.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name.value}})).collect()
}

fn certificates(deployment: Deployment<'_>) -> Result<Vec<Value>, Trouble> {
    let mut issuers = BTreeMap::new();
    for authority in &deployment.contract.prerequisites.authorities {
        issuers.insert(authority.name.value.as_str(), Issuer::new(authority)?);
    }
    let mut objects = Vec::new();
    for certificate in deployment.certificates() {
        // Parsing has made sure of it.
        let Some(issuer) = issuers.get(certificate.authority.value.as_str()) else { continue };
        let data = issuer.issue(certificate)?;
        objects.push(secret(&certificate.namespace.value, &certificate.secret.value, &data));
    }
    Ok(objects)
}

fn secrets(deployment: Deployment<'_>) -> Result<Vec<Value>, Trouble> {
    deployment
        .secrets()
        .map(|wanted| Ok(secret(&wanted.namespace.value, &wanted.name.value, &values(wanted)?)))
        .collect()
}

fn values(wanted: &Secret) -> Result<BTreeMap<String, String>, Trouble> {
    let value = |value: &SecretValue| match value {
        SecretValue::Literal(text) => Ok(text.clone()),
        SecretValue::RandomHex(bytes) => random_hex(*bytes),
    };
    wanted.values.iter().map(|(key, v)| Ok((key.clone(), value(v)?))).collect()
}

/// Never derived from the run's seed: who reads a report must not learn a secret.
fn random_hex(bytes: u16) -> Result<String, Trouble> {
    let mut buffer = vec![0_u8; usize::from(bytes)];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut buffer))
        .or_trouble(|| "cannot make a random secret")?;
    Ok(buffer.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn secret(namespace: &str, name: &str, data: &BTreeMap<String, String>) -> Value {
    let encoded: BTreeMap<&String, String> = data.iter().map(|(key, value)| (key, BASE64.encode(value))).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": namespace},
        "data": encoded,
    })
}

fn claim(claim: &Claim) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim.name.value, "namespace": claim.namespace.value},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": claim.storage}}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_secrets_are_as_long_as_asked_and_differ() {
        let (a, b) = (random_hex(32).unwrap(), random_hex(32).unwrap());
        assert_eq!(a.len(), 64);
        assert_ne!(a, b);
    }
}
