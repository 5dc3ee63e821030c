//! Role-based access control over the stored roles and bindings.

use embedded_apimachinery::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES};
use embedded_apimachinery::{GroupResource, Status, object};
use serde_json::{Value, json};

use super::User;
use crate::registry::ApiServer;

/// What somebody wants to do.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub is_resource: bool,
    /// For what is no resource.
    pub path: String,
}

impl Attributes {
    fn full_resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            sub => format!("{}/{sub}", self.resource),
        }
    }

    /// 403, as Kubernetes words it.
    pub fn refusal(&self, user: &User) -> Status {
        if !self.is_resource {
            let message =
                format!("forbidden: User {} cannot {} path {}", json!(user.name), self.verb, json!(self.path));
            return Status::new(403, "Forbidden", message).with_details(json!({}));
        }
        let place = match self.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {}", json!(namespace)),
        };
        let why = format!(
            "User {} cannot {} resource {} in API group {} {place}",
            json!(user.name),
            self.verb,
            json!(self.full_resource()),
            json!(self.group)
        );
        Status::forbidden(&GroupResource::new(self.group.clone(), self.resource.clone()), &self.name, &why)
    }
}

/// Members of this group may do everything, whatever the roles say.
const MASTERS: &str = "system:masters";

impl ApiServer {
    pub(crate) fn may(&self, user: &User, wanted: &Attributes) -> bool {
        user.groups.iter().any(|g| g == MASTERS) || self.rules_for(user, &wanted.namespace).any(|r| allows(&r, wanted))
    }

    /// Rules that apply to a user in a namespace (empty for the cluster).
    pub(crate) fn rules_for<'a>(&'a self, user: &'a User, namespace: &'a str) -> impl Iterator<Item = Value> + 'a {
        let (mut bindings, _) = self.store.list(&CLUSTER_ROLE_BINDINGS, None);
        if !namespace.is_empty() {
            bindings.extend(self.store.list(&ROLE_BINDINGS, Some(namespace)).0);
        }
        bindings.into_iter().filter(|b| names(b, user)).flat_map(move |binding| {
            let role = object::str_at(&binding, "/roleRef/name");
            let found = match object::str_at(&binding, "/roleRef/kind") {
                "ClusterRole" => self.find(&CLUSTER_ROLES, "", role),
                _ => self.find(&ROLES, namespace, role),
            };
            found.map(|role| self.rules_of(&role)).unwrap_or_default()
        })
    }

    /// A role's own rules, or those of the roles that it aggregates.
    fn rules_of(&self, role: &Value) -> Vec<Value> {
        use embedded_apimachinery::selector::LabelSelector;
        let mut rules = object::list_at(role, "/rules").to_vec();
        for selector in object::list_at(role, "/aggregationRule/clusterRoleSelectors") {
            let Some(selector) = LabelSelector::from_object(Some(selector)) else { continue };
            let (roles, _) = self.store.list(&CLUSTER_ROLES, None);
            let selected = roles.iter().filter(|r| selector.matches_object(r) && object::uid(r) != object::uid(role));
            rules.extend(selected.flat_map(|r| self.rules_of(r)));
        }
        rules
    }
}

fn names(binding: &Value, user: &User) -> bool {
    object::list_at(binding, "/subjects").iter().any(|subject| {
        let name = object::str_at(subject, "/name");
        match object::str_at(subject, "/kind") {
            "User" => name == user.name,
            "Group" => user.groups.iter().any(|g| g == name),
            "ServiceAccount" => {
                let namespace = match object::str_at(subject, "/namespace") {
                    "" => object::namespace(binding),
                    stated => stated,
                };
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    })
}

/// Whether one rule covers what is wanted.
pub fn allows(rule: &Value, wanted: &Attributes) -> bool {
    let has =
        |field: &str, value: &str| object::list_at(rule, &format!("/{field}")).iter().any(|v| v == "*" || v == value);
    if !has("verbs", &wanted.verb) {
        return false;
    }
    if !wanted.is_resource {
        let urls = object::list_at(rule, "/nonResourceURLs").iter().filter_map(Value::as_str);
        return urls.into_iter().any(|url| match url.strip_suffix('*') {
            Some(prefix) => wanted.path.starts_with(prefix),
            None => url == wanted.path,
        });
    }
    let full = wanted.full_resource();
    let any_subresource = !wanted.subresource.is_empty() && has_exactly(rule, &format!("*/{}", wanted.subresource));
    let names = object::list_at(rule, "/resourceNames");
    has("apiGroups", &wanted.group)
        && (has("resources", &full) || any_subresource)
        && (names.is_empty() || names.iter().any(|n| *n == wanted.name))
}

fn has_exactly(rule: &Value, resource: &str) -> bool {
    object::list_at(rule, "/resources").iter().any(|r| r == resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(verb: &str, resource: &str, subresource: &str, name: &str) -> Attributes {
        Attributes {
            verb: verb.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            is_resource: true,
            ..Attributes::default()
        }
    }

    #[test]
    fn rules_cover_verbs_resources_and_names() {
        let rule = json!({"apiGroups": [""], "resources": ["pods", "*/scale"], "verbs": ["list"], "resourceNames": []});
        assert!(allows(&rule, &wanted("list", "pods", "", "")));
        assert!(!allows(&rule, &wanted("get", "pods", "", "")));
        assert!(!allows(&rule, &wanted("list", "pods", "log", "")));
        assert!(allows(&rule, &wanted("list", "deployments", "scale", "")));
        let named = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "resourceNames": ["a"]});
        assert!(allows(&named, &wanted("get", "pods", "", "a")) && !allows(&named, &wanted("get", "pods", "", "b")));
    }

    #[test]
    fn refusals_say_who_may_not_do_what_where() {
        let attributes = Attributes { namespace: "ns".into(), ..wanted("get", "pods", "log", "x") };
        let refusal = attributes.refusal(&User::new("alice", vec![]));
        assert_eq!(
            refusal.message,
            "pods \"x\" is forbidden: User \"alice\" cannot get resource \"pods/log\" in API group \"\" in the \
             namespace \"ns\""
        );
    }

    #[test]
    fn paths_match_by_prefix() {
        let rule = json!({"nonResourceURLs": ["/healthz", "/version/*"], "verbs": ["get"]});
        let path = |path: &str| Attributes { verb: "get".into(), path: path.into(), ..Attributes::default() };
        assert!(allows(&rule, &path("/healthz")) && allows(&rule, &path("/version/x")));
        assert!(!allows(&rule, &path("/metrics")));
    }
}
