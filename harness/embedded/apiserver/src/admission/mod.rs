//! What is added to and demanded of objects beyond their schema, depending on other objects.
//!
//! [`mutate`] runs after defaulting, [`validate`] last before the write; both under the write lock. Charges to quotas
//! are written by [`commit`] once the write is done.

mod limit_range;
mod namespace;
mod pod;
mod quota;
mod service_account;
mod storage;

use embedded_apimachinery::Result;
use embedded_apimachinery::resource::{INGRESSES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use serde_json::Value;

use crate::catalog::Resource;
use crate::registry::ApiServer;

pub use namespace::namespace_lifecycle;
pub use quota::{Charges, commit};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    Create,
    Update { subresource: &'a str },
}

/// One write on its way to the store.
pub struct Request<'a> {
    pub server: &'a ApiServer,
    pub resource: &'a Resource,
    pub namespace: &'a str,
    pub operation: Operation<'a>,
}

pub fn mutate(request: &Request<'_>, object: &mut Value) -> Result<()> {
    if request.operation != Operation::Create {
        return Ok(());
    }
    let id = &request.resource.id;
    if *id == PODS {
        service_account::admit(request, object)?;
        pod::add_default_tolerations(object);
        limit_range::set_defaults(request, object);
        pod::set_priority(request, object)?;
    } else if *id == PERSISTENT_VOLUME_CLAIMS {
        storage::protect(object, "kubernetes.io/pvc-protection");
        storage::set_default_class(request, object);
    } else if *id == PERSISTENT_VOLUMES {
        storage::protect(object, "kubernetes.io/pv-protection");
    } else if *id == INGRESSES {
        storage::set_default_ingress_class(request, object);
    }
    Ok(())
}

/// What the write costs, if it is allowed.
pub fn validate(request: &Request<'_>, object: &Value) -> Result<Charges> {
    limit_range::check(request, object)?;
    quota::check(request, object)
}
