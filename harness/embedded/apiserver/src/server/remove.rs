//! `delete` and `deletecollection`.

use bytes::Bytes;
use embedded_apimachinery::resource::JOBS;
use embedded_apimachinery::{DeleteOptions, Preconditions, Propagation, Result, Status, object};
use serde_json::{Value, json};

use super::fields::{self, Selection};
use super::query::{self, ListQuery, invalid_options, unsupported};
use super::respond::{self, Answer};
use super::show::{ListMeta, Show};
use super::{Call, Server, body};
use crate::catalog::Resource;

/// Kinds whose deletion answers with the object instead of a `Status`.
const RETURN_OBJECT: [&str; 7] = [
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "services",
];

pub fn delete(server: &Server, call: &Call, resource: &Resource, show: &Show<'_>, bytes: &Bytes) -> Result<Answer> {
    let mut options = parse_options(call, bytes)?;
    let mut warnings = Vec::new();
    if resource.id == JOBS && options.propagation.is_none() {
        // As in Kubernetes, for compatibility.
        options.propagation = Some(Propagation::Orphan);
        warnings.push(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove \
             them or set propagationPolicy=Orphan to suppress this warning"
                .to_owned(),
        );
    }
    let namespace = call.object_namespace(resource);
    let target = server.api.stored(&resource.id)?;
    let deleted = server.api.delete_object(&target, namespace, &call.info.name, &options)?;
    let shows_object =
        !deleted.gone || (resource.id.group.is_empty() && RETURN_OBJECT.contains(&&*resource.id.resource));
    let mut answer = if shows_object {
        show.object(200, &deleted.object)
    } else {
        let mut details = json!({"name": call.info.name});
        if !resource.id.group.is_empty() {
            details["group"] = resource.id.group.as_ref().into();
        }
        details["kind"] = resource.id.resource.as_ref().into();
        details["uid"] = object::uid(&deleted.object).into();
        respond::json(200, &respond::success(details))
    };
    respond::add_warnings(&mut answer, &warnings);
    Ok(answer)
}

pub fn delete_collection(
    server: &Server,
    call: &Call,
    resource: &Resource,
    show: &Show<'_>,
    bytes: &Bytes,
) -> Result<Answer> {
    let query = ListQuery::parse(&call.query, false)?;
    fields::check(resource, &query.fields)?;
    let options = parse_options(call, bytes)?;
    let selection = Selection { labels: query.labels, fields: query.fields };
    let (mut objects, _) = server.api.store.list(resource.stored_id(), call.list_namespace(resource));
    objects.retain(|o| selection.matches(o));
    let mut deleted = Vec::new();
    let target = server.api.stored(&resource.id)?;
    for found in objects {
        let (namespace, name) = (object::namespace(&found), object::name(&found));
        match server.api.delete_object(&target, namespace, name, &options) {
            Ok(done) => deleted.push(done.object),
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
    }
    let meta = ListMeta { revision: server.api.store.revision(), ..ListMeta::default() };
    Ok(show.list(&deleted, &meta))
}

/// `DeleteOptions` from the body, or from the query when there is no body.
pub fn parse_options(call: &Call, bytes: &Bytes) -> Result<DeleteOptions> {
    let sent = if bytes.is_empty() { from_query(call)? } else { from_body(bytes)? };
    to_options(&sent)
}

fn from_body(bytes: &Bytes) -> Result<Value> {
    let value = body::parse(bytes)?;
    match object::kind(&value) {
        "" | "DeleteOptions" => Ok(value),
        kind => Err(Status::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a DeleteOptions: converting to DeleteOptions: unknown conversion",
            object::api_version(&value)
        ))),
    }
}

fn from_query(call: &Call) -> Result<Value> {
    let mut sent = json!({});
    if let Some(seconds) = call.query.int("gracePeriodSeconds")? {
        sent["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(policy) = call.query.get("propagationPolicy") {
        sent["propagationPolicy"] = policy.into();
    }
    if call.query.get("orphanDependents").is_some() {
        sent["orphanDependents"] = call.query.flag("orphanDependents").into();
    }
    let dry_run: Vec<&str> = call.query.all("dryRun").collect();
    if !dry_run.is_empty() {
        sent["dryRun"] = json!(dry_run);
    }
    Ok(sent)
}

/// Checks and reads `DeleteOptions`.
pub fn to_options(sent: &Value) -> Result<DeleteOptions> {
    let mut causes = Vec::new();
    let policy = object::str_at(sent, "/propagationPolicy");
    let orphan = sent.get("orphanDependents").and_then(Value::as_bool);
    let propagation = match policy {
        "" => orphan.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
        "Foreground" => Some(Propagation::Foreground),
        "Background" => Some(Propagation::Background),
        "Orphan" => Some(Propagation::Orphan),
        other => {
            let supported = "\"Foreground\", \"Background\", \"Orphan\", \"nil\"";
            causes.push(unsupported("propagationPolicy", &json!(other), supported));
            None
        }
    };
    if orphan.is_some() && !policy.is_empty() {
        let message =
            format!("Invalid value: {}: orphanDependents and deletionPropagation cannot be both set", json!(policy));
        causes.push(json!({"reason": "FieldValueInvalid", "message": message, "field": "propagationPolicy"}));
    }
    let dry_run = query::dry_run(object::list_at(sent, "/dryRun").iter().filter_map(Value::as_str), &mut causes);
    if !causes.is_empty() {
        return Err(invalid_options("DeleteOptions", causes));
    }
    let text = |pointer: &str| sent.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Ok(DeleteOptions {
        grace_period: object::int_at(sent, "/gracePeriodSeconds"),
        propagation,
        preconditions: Preconditions {
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
        },
        dry_run,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let error = to_options(&json!({"propagationPolicy": "Sideways"})).unwrap_err();
        assert_eq!(
            error.message,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported \
             values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
        );
        let options = to_options(&json!({"orphanDependents": true, "gracePeriodSeconds": 3})).unwrap();
        assert_eq!((options.propagation, options.grace_period), (Some(Propagation::Orphan), Some(3)));
    }
}
