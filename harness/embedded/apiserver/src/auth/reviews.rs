//! Questions about identity and permission: the resources of `authentication.k8s.io` and `authorization.k8s.io`.

use chrono::Utc;
use embedded_apimachinery::{Result, Status, object, timestamp};
use serde_json::{Value, json};

use super::User;
use super::rbac::Attributes;
use crate::registry::ApiServer;

impl ApiServer {
    /// Answers a review: the request with its status. `namespace` is that of the path.
    pub(crate) fn review(&self, kind: &str, user: &User, namespace: &str, request: &Value) -> Result<Value> {
        let (mut spec, status) = (request["spec"].clone(), request);
        let status = match kind {
            "SelfSubjectReview" => json!({"userInfo": user_info(user)}),
            "TokenReview" => self.token_review(status),
            "SelfSubjectAccessReview" => self.access_review(user, &spec),
            "SelfSubjectRulesReview" => self.rules_review(user, object::str_at(&spec, "/namespace")),
            "SubjectAccessReview" | "LocalSubjectAccessReview" => {
                let stated = object::str_at(&spec, "/resourceAttributes/namespace");
                if kind == "LocalSubjectAccessReview" && stated != namespace {
                    return Err(Status::bad_request(format!(
                        "spec.resourceAttributes.namespace must match namespace: {namespace}"
                    )));
                }
                let groups = object::list_at(&spec, "/groups").iter().filter_map(Value::as_str).map(str::to_owned);
                let subject = User::new(object::str_at(&spec, "/user"), groups.collect());
                self.access_review(&subject, &spec)
            }
            _ => return Err(Status::internal(format!("no answer to reviews of kind {kind}"))),
        };
        let mut answer = json!({"kind": kind, "apiVersion": request["apiVersion"], "metadata": {}});
        if kind == "SelfSubjectReview" {
            answer["metadata"]["creationTimestamp"] = timestamp::now().into();
        } else {
            if spec.is_null() {
                spec = json!({});
            }
            answer["spec"] = spec;
        }
        answer["status"] = status;
        Ok(answer)
    }

    fn access_review(&self, user: &User, spec: &Value) -> Value {
        let wanted = match spec.get("resourceAttributes").filter(|a| a.is_object()) {
            Some(a) => Attributes {
                verb: object::str_at(a, "/verb").into(),
                group: object::str_at(a, "/group").into(),
                resource: object::str_at(a, "/resource").into(),
                subresource: object::str_at(a, "/subresource").into(),
                namespace: object::str_at(a, "/namespace").into(),
                name: object::str_at(a, "/name").into(),
                is_resource: true,
                path: String::new(),
            },
            None => Attributes {
                verb: object::str_at(spec, "/nonResourceAttributes/verb").into(),
                path: object::str_at(spec, "/nonResourceAttributes/path").into(),
                ..Attributes::default()
            },
        };
        json!({"allowed": self.may(user, &wanted)})
    }

    fn rules_review(&self, user: &User, namespace: &str) -> Value {
        let mut rules: Vec<Value> = self.rules_for(user, namespace).collect();
        if user.groups.iter().any(|g| g == "system:masters") {
            rules.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
            rules.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
        }
        let (paths, resources): (Vec<Value>, Vec<Value>) =
            rules.into_iter().partition(|rule| rule.get("nonResourceURLs").is_some());
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }

    fn token_review(&self, request: &Value) -> Value {
        match self.user_of_token(object::str_at(request, "/spec/token"), Utc::now()) {
            Some(user) => json!({"authenticated": true, "user": user_info(&user)}),
            None => json!({"user": {}, "error": "invalid bearer token"}),
        }
    }
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    info["groups"] = json!(user.groups);
    if !user.extra.is_empty() {
        info["extra"] = user.extra.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into();
    }
    info
}
