//! Protection of volumes in use, and default classes.

use embedded_apimachinery::resource::{INGRESS_CLASSES, STORAGE_CLASSES};
use embedded_apimachinery::{GroupResource, object};
use serde_json::Value;

use super::Request;

pub fn protect(object: &mut Value, finalizer: &str) {
    if object::has_finalizer(object, finalizer) {
        return;
    }
    let mut finalizers = object::list_at(object, "/metadata/finalizers").to_vec();
    finalizers.push(finalizer.into());
    object::metadata_mut(object).insert("finalizers".into(), finalizers.into());
}

/// A claim that names no class, not even the empty one, gets the default class.
pub fn set_default_class(request: &Request<'_>, claim: &mut Value) {
    const LEGACY: &str = "volume.beta.kubernetes.io/storage-class";
    if claim["spec"].get("storageClassName").is_some() || object::annotation(claim, LEGACY).is_some() {
        return;
    }
    if let Some(name) = default_of(request, &STORAGE_CLASSES, "storageclass.kubernetes.io/is-default-class") {
        object::map_at_mut(claim, &["spec"]).insert("storageClassName".into(), name.into());
    }
}

pub fn set_default_ingress_class(request: &Request<'_>, ingress: &mut Value) {
    const LEGACY: &str = "kubernetes.io/ingress.class";
    if ingress["spec"].get("ingressClassName").is_some() || object::annotation(ingress, LEGACY).is_some() {
        return;
    }
    if let Some(name) = default_of(request, &INGRESS_CLASSES, "ingressclass.kubernetes.io/is-default-class") {
        object::map_at_mut(ingress, &["spec"]).insert("ingressClassName".into(), name.into());
    }
}

/// The newest class marked as the default.
fn default_of(request: &Request<'_>, classes: &GroupResource, mark: &str) -> Option<String> {
    let (classes, _) = request.server.store.list(classes, None);
    let marked = classes.iter().filter(|c| object::annotation(c, mark) == Some("true"));
    let newest = marked.max_by_key(|c| object::str_at(c, "/metadata/creationTimestamp").to_owned())?;
    Some(object::name(newest).to_owned())
}
