//! A container of ours in every real pod; and what becomes of the pods that take none: a twin asks in their stead, and
//! they are only reached for.

use super::members::{Member, Place, Role};
use super::parties::{LIVES_FOR, Names, PREFIX, Twin};
use super::plan::Who;
use super::policies::Subject;
use futures::future::join_all;
use gauntlet_cluster::view::Snapshot;
use gauntlet_cluster::{probe, ready};
use gauntlet_core::contract::workload::Workload;
use gauntlet_engine::Lab;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::sync::Arc;

/// A pod that took no container of ours, and why.
pub struct Refused {
    pub workload: String,
    pod: Arc<Pod>,
    pub why: String,
}

/// Adds a container with the agent to every pod of every serving workload; with those that took none.
pub async fn enter_pods(lab: &Lab) -> (Vec<Place>, Vec<Refused>) {
    lab.view().complete().await;
    let snapshot = lab.view().snapshot();
    let serving = lab.deployment().workloads().filter(|workload| workload.kind.is_serving());
    let pods = serving.flat_map(|workload| {
        let name = workload.name.value.clone();
        real_pods(workload, &snapshot).into_iter().map(move |pod| (name.clone(), pod))
    });
    let image = lab.cluster().agent_image();
    let entered = pods.map(async |(workload, pod)| {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let before = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten()).count();
        let container = format!("gauntlet-probe-{before}");
        let added = probe::add_container(lab.access(), &namespace, &name, &container, image, LIVES_FOR).await;
        match added {
            Ok(()) => Ok(Place { who: Who::Pods(workload), namespace, pod: name, container, role: Role::Both }),
            Err(why) => Err(Refused { workload, pod, why }),
        }
    });
    let (mut places, mut refused) = (Vec::new(), Vec::new());
    for entered in join_all(entered).await {
        match entered {
            Ok(place) => places.push(place),
            Err(pod) => refused.push(pod),
        }
    }
    (places, refused)
}

/// The first of every workload's: one twin speaks for all of its pods.
pub fn one_of_each(refused: &[Refused]) -> impl Iterator<Item = &Refused> {
    let is_first = |place: usize, of: &Refused| !refused[..place].iter().any(|other| other.workload == of.workload);
    refused.iter().enumerate().filter(move |(place, of)| is_first(*place, of)).map(|(_, of)| of)
}

impl Refused {
    /// Who asks in the stead of its workload's pods.
    pub fn twin(&self, names: &Names) -> Twin {
        let who = Who::Pods(self.workload.clone());
        let pod = serde_json::to_value(&*self.pod).unwrap_or_default();
        Twin::new(who, &self.workload, &self.pod.namespace().unwrap_or_default(), &pod, names)
    }

    /// The pod as one that is only reached for, where it has an address.
    pub fn member(&self) -> Option<Member> {
        let namespace = self.pod.namespace().unwrap_or_default();
        Some(Member {
            who: Who::Pods(self.workload.clone()),
            pod: self.pod.name_any(),
            container: String::new(),
            address: self.pod.status.as_ref()?.pod_ip.clone()?,
            node: self.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            subject: Subject::of(&self.pod),
            namespace,
            role: Role::Answers,
        })
    }
}

/// The workload's own pods that run; twins bear its labels too.
fn real_pods(workload: &Workload, snapshot: &Snapshot) -> Vec<Arc<Pod>> {
    let pods = ready::pods_of(workload, snapshot).into_iter();
    pods.filter(|pod| !pod.name_any().starts_with(PREFIX) && ready::is_ready(pod)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::members::Members;
    use serde_json::{from_value, json};

    fn refused(workload: &str, pod: &str, address: Option<&str>) -> Refused {
        let labels = json!({"app": workload, "pod-template-hash": "abc"});
        let pod = json!({"metadata": {"name": pod, "namespace": "shop", "labels": labels},
            "spec": {"containers": [], "serviceAccountName": "clerk", "nodeName": "node-1"}, "status": {"podIP": address}});
        Refused { workload: workload.to_owned(), pod: Arc::new(from_value(pod).unwrap()), why: "refused".to_owned() }
    }

    #[test]
    fn a_twin_asks_for_every_workload_whose_pods_take_no_container_and_the_pods_are_only_reached() {
        let all =
            [refused("web", "web-1", Some("10.0.0.1")), refused("web", "web-2", None), refused("db", "db-0", None)];
        let names = Names::of("20260101-000000-4f78");
        let twins: Vec<Twin> = one_of_each(&all).map(|refused| refused.twin(&names)).collect();
        let called: Vec<&str> = twins.iter().map(|twin| twin.name.as_str()).collect();
        assert_eq!(called, ["gauntlet-matrix-4f78-twin-web", "gauntlet-matrix-4f78-twin-db"]);
        assert_eq!(twins[0].who, Who::Pods("web".to_owned()));
        assert_eq!(twins[0].account.as_deref(), Some("clerk"));
        assert_eq!(twins[0].labels, [("app".to_owned(), "web".to_owned())].into());
        let members: Vec<Member> = all.iter().filter_map(Refused::member).collect();
        let members = Members { all: members, ..Members::none(names) };
        let web = Who::Pods("web".to_owned());
        assert_eq!(members.reached(&web).count(), 1, "one has no address");
        assert_eq!(members.probers(&web).count(), 0);
        assert!(!members.asks(0));
    }
}
