//! What a cluster that exists already has and lacks, as its API tells: nothing of it is assumed.

use super::kubeconfig::nodes::Nodes;
use crate::access::{Access, said};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// What was found, by what was looked for. What could not be asked says why.
pub async fn discover(access: &Access, nodes: &Nodes) -> BTreeMap<String, String> {
    let (storage, ingress, kinds) = tokio::join!(
        classes::<StorageClass>(access, "storageclass.kubernetes.io/is-default-class"),
        classes::<IngressClass>(access, "ingressclass.kubernetes.io/is-default-class"),
        served(access),
    );
    let takes_pods = nodes.workers.len() + usize::from(nodes.quiet.is_some());
    let quiet = nodes.quiet.as_ref().map_or("none is set aside".to_owned(), |node| format!("{node} is set aside"));
    let mut found: BTreeMap<String, String> = kinds.into_iter().collect();
    found.insert("storage classes".to_owned(), storage);
    found.insert("ingress classes".to_owned(), ingress);
    found.insert("nodes that take pods".to_owned(), format!("{takes_pods}; {quiet}"));
    found
}

/// Names of classes, the default one marked.
async fn classes<K>(access: &Access, mark: &str) -> String
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match Api::<K>::all(access.client.clone()).list(&ListParams::default()).await {
        Ok(list) => {
            let is_default = |class: &K| class.annotations().get(mark).is_some_and(|value| value == "true");
            named(list.items.iter().map(|class| (class.name_any(), is_default(class))))
        }
        Err(error) => format!("cannot be asked: {}", said(&error)),
    }
}

fn named(classes: impl Iterator<Item = (String, bool)>) -> String {
    let names = classes.map(|(name, is_default)| if is_default { format!("{name} (default)") } else { name });
    match names.collect::<Vec<String>>() {
        names if names.is_empty() => "none".to_owned(),
        names => names.join(", "),
    }
}

/// Groups of the API that not every cluster has, and what each is.
const GROUPS: [(&str, &str); 2] =
    [("metrics API", "metrics.k8s.io"), ("kinds of the Prometheus operator", "monitoring.coreos.com")];

async fn served(access: &Access) -> Vec<(String, String)> {
    let groups = access.client.list_api_groups().await;
    let core = access.client.list_core_api_resources("v1").await;
    let of_groups = GROUPS.map(|(what, group)| {
        let told = match &groups {
            Ok(list) => served_or_not(list.groups.iter().any(|served| served.name == group)),
            Err(error) => format!("cannot be asked: {}", said(error)),
        };
        (what.to_owned(), told)
    });
    let ephemeral = match &core {
        Ok(list) => served_or_not(list.resources.iter().any(|resource| resource.name == "pods/ephemeralcontainers")),
        Err(error) => format!("cannot be asked: {}", said(error)),
    };
    of_groups.into_iter().chain([("ephemeral containers".to_owned(), ephemeral)]).collect()
}

fn served_or_not(is_served: bool) -> String {
    if is_served { "served" } else { "not served" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_and_the_default_one_is_marked() {
        assert_eq!(named([].into_iter()), "none");
        let classes = [("fast".to_owned(), false), ("standard".to_owned(), true)];
        assert_eq!(named(classes.into_iter()), "fast, standard (default)");
    }
}
