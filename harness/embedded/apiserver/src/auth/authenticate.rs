//! Who makes a request: client certificate, bearer token, or nobody; and whom they speak for.

use chrono::Utc;
use embedded_apimachinery::{Result, Status};
use http::HeaderMap;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;
use super::rbac::Attributes;
use crate::registry::ApiServer;

/// The user of a certificate that TLS has verified: common name and organizations.
pub fn user_of_certificate(der: &[u8]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    Some(User::new(name, groups).authenticated())
}

/// A certificate counts before a token; a token that does not verify is refused, not ignored.
pub fn authenticate(server: &ApiServer, certificate: Option<&User>, headers: &HeaderMap) -> Result<User> {
    let user = match (certificate, bearer(headers)) {
        (Some(user), _) => user.clone(),
        (None, Some(token)) => server.user_of_token(&token, Utc::now()).ok_or_else(Status::unauthorized)?,
        (None, None) if headers.contains_key(http::header::AUTHORIZATION) => return Err(Status::unauthorized()),
        (None, None) => User::anonymous(),
    };
    impersonated(server, user, headers)
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(http::header::AUTHORIZATION) {
        return value.to_str().ok()?.strip_prefix("Bearer ").map(|t| t.trim().to_owned());
    }
    // Browsers cannot set headers on WebSockets, so a token may come as a subprotocol.
    const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
    let protocols = headers.get(http::header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let encoded = protocols.split(',').find_map(|p| p.trim().strip_prefix(PREFIX))?;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    String::from_utf8(base64::Engine::decode(&engine, encoded).ok()?).ok()
}

/// `Impersonate-User` and `Impersonate-Group`, for those who may.
fn impersonated(server: &ApiServer, user: User, headers: &HeaderMap) -> Result<User> {
    let Some(name) = headers.get("impersonate-user").and_then(|v| v.to_str().ok()) else { return Ok(user) };
    let groups: Vec<String> =
        headers.get_all("impersonate-group").iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
    let wanted = std::iter::once(("users", name)).chain(groups.iter().map(|g| ("groups", g.as_str())));
    for (resource, name) in wanted {
        let attributes = Attributes {
            verb: "impersonate".into(),
            resource: resource.into(),
            name: name.into(),
            is_resource: true,
            ..Attributes::default()
        };
        if !server.may(&user, &attributes) {
            return Err(attributes.refusal(&user));
        }
    }
    let mut groups = groups;
    if groups.is_empty()
        && let Some(account) = name.strip_prefix("system:serviceaccount:")
    {
        let namespace = account.split(':').next().unwrap_or_default();
        groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    Ok(User::new(name, groups).authenticated())
}
