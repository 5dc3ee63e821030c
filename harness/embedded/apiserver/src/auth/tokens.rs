//! Tokens of ServiceAccounts: JWTs that this server signs and verifies itself.
//!
//! They are bound to the account, and to a pod where one is named: when either is gone, so is the token's worth.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use embedded_apimachinery::resource::{PODS, SERVICE_ACCOUNTS};
use embedded_apimachinery::{Result, Status, object, timestamp};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngCore;
use serde_json::{Value, json};
use sha2::Sha256;

use super::User;
use crate::registry::ApiServer;

const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";
const MINIMUM_SECONDS: i64 = 600;
const DEFAULT_SECONDS: i64 = 3600;
const MAXIMUM_SECONDS: i64 = 1 << 32;

/// The key that signs tokens, made when the server starts.
pub struct TokenKey([u8; 64]);

impl Default for TokenKey {
    fn default() -> Self {
        let mut key = [0; 64];
        rand::rng().fill_bytes(&mut key);
        Self(key)
    }
}

impl TokenKey {
    fn sign(&self, claims: &Value) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
        let signature = encode(&self.mac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// The claims of a token that this key signed.
    fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        self.mac(signed).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&self.0.into());
        mac.update(text.as_bytes());
        mac
    }
}

impl ApiServer {
    /// Answers a `TokenRequest`: the request with the token in its status.
    pub fn issue_token(&self, namespace: &str, account: &str, request: &Value) -> Result<Value> {
        let found = self.find(&SERVICE_ACCOUNTS, namespace, account);
        let found = found.ok_or_else(|| Status::not_found(&SERVICE_ACCOUNTS, account))?;
        let seconds = object::int_at(request, "/spec/expirationSeconds").unwrap_or(DEFAULT_SECONDS);
        check_duration(seconds)?;
        let now = Utc::now();
        let expires = now + Duration::seconds(seconds);
        let audiences = match object::list_at(request, "/spec/audiences") {
            [] => vec![AUDIENCE.into()],
            stated => stated.to_vec(),
        };
        let mut facts = json!({"namespace": namespace,
            "serviceaccount": {"name": account, "uid": object::uid(&found)}});
        let bound = request.pointer("/spec/boundObjectRef").filter(|r| !r.is_null());
        if let Some(bound) = bound {
            facts["pod"] = self.bound_pod(namespace, bound)?;
        }
        let claims = json!({"aud": audiences, "exp": expires.timestamp(), "iat": now.timestamp(),
            "nbf": now.timestamp(), "iss": AUDIENCE, "jti": uuid::Uuid::new_v4().to_string(), "kubernetes.io": facts,
            "sub": format!("system:serviceaccount:{namespace}:{account}")});
        Ok(json!({
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": account, "namespace": namespace, "uid": object::uid(&found),
                "creationTimestamp": timestamp::format(now)},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound},
            "status": {"token": self.tokens.sign(&claims), "expirationTimestamp": timestamp::format(expires)},
        }))
    }

    fn bound_pod(&self, namespace: &str, bound: &Value) -> Result<Value> {
        let name = object::str_at(bound, "/name");
        let pod = self.find(&PODS, namespace, name).ok_or_else(|| Status::not_found(&PODS, name))?;
        let uid = object::str_at(bound, "/uid");
        if !uid.is_empty() && uid != object::uid(&pod) {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(&PODS, name, &why));
        }
        Ok(json!({"name": name, "uid": object::uid(&pod)}))
    }

    /// Who a bearer token stands for, if it is valid now.
    pub(crate) fn user_of_token(&self, token: &str, now: DateTime<Utc>) -> Option<User> {
        let claims = self.tokens.verify(token)?;
        let expired = claims["exp"].as_i64()? <= now.timestamp();
        let facts = &claims["kubernetes.io"];
        let namespace = facts["namespace"].as_str()?;
        let name = object::str_at(facts, "/serviceaccount/name");
        let uid = object::str_at(facts, "/serviceaccount/uid");
        let account = self.find(&SERVICE_ACCOUNTS, namespace, name)?;
        if expired || object::uid(&account) != uid {
            return None;
        }
        let mut extra = vec![(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![format!("JTI={}", object::str_at(&claims, "/jti"))],
        )];
        if let Some(bound) = facts.get("pod") {
            let (pod_name, pod_uid) = (object::str_at(bound, "/name"), object::str_at(bound, "/uid"));
            self.find(&PODS, namespace, pod_name).filter(|pod| object::uid(pod) == pod_uid)?;
            extra.push(("authentication.kubernetes.io/pod-name".into(), vec![pod_name.into()]));
            extra.push(("authentication.kubernetes.io/pod-uid".into(), vec![pod_uid.into()]));
        }
        let groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
        let name = format!("system:serviceaccount:{namespace}:{name}");
        Some(User { name, uid: uid.into(), groups, extra }.authenticated())
    }
}

fn check_duration(seconds: i64) -> Result<()> {
    let problem = if seconds < MINIMUM_SECONDS {
        "may not specify a duration less than 10 minutes"
    } else if seconds > MAXIMUM_SECONDS {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let cause = json!({"reason": "FieldValueInvalid", "message": format!("Invalid value: {seconds}: {problem}"),
        "field": "spec.expirationSeconds"});
    Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", vec![cause]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_untouched_tokens_of_this_key_are_accepted() {
        let key = TokenKey::default();
        let token = key.sign(&json!({"a": 1}));
        assert_eq!(key.verify(&token), Some(json!({"a": 1})));
        assert_eq!(TokenKey::default().verify(&token), None);
        assert_eq!(key.verify(&format!("x{token}")), None);
        assert_eq!(key.verify("nope"), None);
    }

    #[test]
    fn short_lived_tokens_are_refused() {
        assert_eq!(check_duration(60).unwrap_err().code, 422);
        assert!(check_duration(600).is_ok());
    }
}
