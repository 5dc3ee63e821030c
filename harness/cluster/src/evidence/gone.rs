//! What pods wrote that are about to be gone: when evidence is collected nobody can say it any more.

use super::logs;
use super::sink::{Keep, cut};
use crate::access::Access;
use crate::exec::{self, Place};
use gauntlet_core::Redactor;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::path::Path;

/// Writes what each container of the pod has said, `room` bytes of each at the most: the last ones. The bytes that it
/// took. What could not be had is said in its place.
pub async fn keep_logs(access: &Access, pod: &Pod, folder: &Path, redactor: &Redactor, room: usize) -> usize {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let mut taken = 0;
    for container in logs::started(pod) {
        let place = Place { namespace: &namespace, pod: &name, container: &container };
        let text = match exec::logs(access, place, false, None).await {
            Ok(text) => text,
            Err(why) => format!("no log of {place}: {why}\n"),
        };
        let text = redactor.text(&text);
        let kept = cut(&text, room, Keep::End);
        let file = folder.join(file_name(pod, &container));
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, kept));
        match written {
            Ok(()) => taken += kept.len(),
            Err(error) => tracing::warn!(%error, "cannot write {}", file.display()),
        }
    }
    taken
}

/// A pod of a StatefulSet has the name of the one before.
fn file_name(pod: &Pod, container: &str) -> String {
    let uid = pod.uid().unwrap_or_default();
    let which = uid.split('-').next().unwrap_or_default();
    format!("{}.{}.{container}.{which}.log", pod.namespace().unwrap_or_default(), pod.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_that_takes_the_name_of_another_leaves_its_log_alone() {
        let name = |uid: &str| {
            let pod = json!({"metadata": {"namespace": "shop", "name": "db-0", "uid": uid}});
            file_name(&serde_json::from_value(pod).unwrap(), "db")
        };
        assert_eq!(name("0af1-77"), "shop.db-0.db.0af1.log");
        assert_ne!(name("0af1-77"), name("1af1-77"));
    }
}
