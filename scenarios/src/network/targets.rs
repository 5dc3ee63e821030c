//! From the plan's destinations to addresses in the cluster at hand.

use super::members::{Member, Members};
use super::plan::{Beyond, Destination, Plan, What};
use super::policies::{End, Subject};
use gauntlet_cluster::probe::Target;
use gauntlet_core::Trouble;
use gauntlet_core::contract::network::Protocol;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_engine::Lab;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use std::collections::BTreeMap;

/// One way to reach a destination.
#[derive(Debug, Clone)]
pub struct Way {
    pub host: String,
    /// The pod that is reached, by its place among the members.
    pub pod: Option<usize>,
    /// The node that is reached.
    pub node: Option<String>,
    /// Ports that are there; `None` for all that are documented.
    pub ports: Option<Vec<u16>>,
}

/// A destination as the cluster has it.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    pub ways: Vec<Way>,
    /// What policies see there, where it is no member.
    pub end: End,
    /// The pods behind a Service, by their places among the members.
    pub behind: Vec<usize>,
    /// The ports of those pods, by the Service's.
    pub target_ports: BTreeMap<u16, u16>,
}

/// Hosts outside the cluster, as the plan needs them.
pub fn beyond(lab: &Lab) -> Vec<Beyond> {
    let hosts = lab.cluster().outside_hosts().iter();
    hosts.map(|host| Beyond { name: host.name.clone(), tcp: host.tcp.clone() }).collect()
}

/// Resolves every destination of a plan. One that the cluster does not have has no ways.
///
/// # Errors
/// The API does not answer.
pub async fn resolve(lab: &Lab, plan: &Plan, members: &Members) -> Result<Vec<Resolved>, Trouble> {
    let mut resolved = Vec::new();
    for destination in &plan.destinations {
        resolved.push(one(lab, destination, members).await?);
    }
    Ok(resolved)
}

async fn one(lab: &Lab, destination: &Destination, members: &Members) -> Result<Resolved, Trouble> {
    let plain = |host: String| Way { host, pod: None, node: None, ports: None };
    let only = |host: Option<String>| Resolved { ways: host.map(plain).into_iter().collect(), ..Resolved::default() };
    Ok(match &destination.what {
        What::Pods(who) => {
            let pods: Vec<(usize, &Member)> = members.reached(who).collect();
            let way = |(place, member): &(usize, &Member)| Way { pod: Some(*place), ..plain(member.address.clone()) };
            Resolved { ways: pods.iter().map(way).collect(), ..Resolved::default() }
        }
        What::Service { workload, service } => {
            let who = super::plan::Who::Pods(workload.clone());
            let pods: Vec<(usize, &Member)> = members.reached(&who).collect();
            let namespace = lab.deployment().workload(workload).map_or("default", |w| &w.namespace.value);
            let found = get(lab, namespace, service).await?;
            let subject = pods.first().map(|(_, member)| &member.subject);
            let target_ports = found.as_ref().map(|found| target_ports(found, subject)).unwrap_or_default();
            let way = found.map(|found| Way { ports: Some(ports(&found)), ..plain(host(&found)) });
            Resolved {
                ways: way.into_iter().collect(),
                behind: pods.into_iter().map(|(place, _)| place).collect(),
                target_ports,
                ..Resolved::default()
            }
        }
        // Wherever it really is: to policies it is the pods behind its Service.
        What::Dns => Resolved { end: End { pod: Some(dns_pod()), address: None }, ..only(dns(lab).await?) },
        What::ApiServer => only(get(lab, "default", "kubernetes").await?.map(|service| host(&service))),
        What::Nodes => {
            let nodes = lab.view().snapshot().nodes;
            let way = |node: &std::sync::Arc<k8s_openapi::api::core::v1::Node>| {
                let addresses = node.status.as_ref()?.addresses.as_ref()?;
                let address = addresses.iter().find(|address| address.type_ == "InternalIP")?;
                Some(Way { node: Some(node.name_any()), ..plain(address.address.clone()) })
            };
            let mut ways: Vec<Way> = nodes.iter().filter_map(way).collect();
            ways.sort_by(|a, b| a.node.cmp(&b.node));
            let address = ways.first().and_then(|way| way.host.parse().ok());
            Resolved { ways, end: End { pod: None, address }, ..Resolved::default() }
        }
        What::Outside(place) => {
            let address = lab.cluster().outside_hosts().get(*place).map(|host| host.address);
            let end = End { pod: None, address };
            Resolved { end, ..only(address.map(|address| address.to_string())) }
        }
    })
}

async fn get(lab: &Lab, namespace: &str, name: &str) -> Result<Option<Service>, Trouble> {
    let api: Api<Service> = Api::namespaced(lab.access().client.clone(), namespace);
    api.get_opt(name).await.or_trouble(|| format!("cannot look for Service {namespace}/{name}"))
}

/// The Service that every cluster calls its DNS by label, whatever its name.
async fn dns(lab: &Lab) -> Result<Option<String>, Trouble> {
    let api: Api<Service> = Api::namespaced(lab.access().client.clone(), "kube-system");
    let list = api.list(&ListParams::default().labels("k8s-app=kube-dns")).await;
    Ok(list.or_trouble(|| "cannot look for the cluster's DNS")?.items.first().map(host))
}

fn dns_pod() -> Subject {
    let labels = [("k8s-app".to_owned(), "kube-dns".to_owned())].into();
    Subject { namespace: "kube-system".to_owned(), labels, ..Subject::default() }
}

/// The address of a Service, or its name where it has none.
fn host(service: &Service) -> String {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone());
    let named = || format!("{}.{}.svc", service.name_any(), service.namespace().unwrap_or_default());
    address.filter(|address| address != "None" && !address.is_empty()).unwrap_or_else(named)
}

fn ports(service: &Service) -> Vec<u16> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.filter_map(|port| u16::try_from(port.port).ok()).collect()
}

fn target_ports(service: &Service, subject: Option<&Subject>) -> BTreeMap<u16, u16> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let target = |port: &ServicePort| {
        let own = u16::try_from(port.port).ok()?;
        let target = match &port.target_port {
            Some(IntOrString::Int(number)) => u16::try_from(*number).ok()?,
            Some(IntOrString::String(name)) => *subject?.ports.get(name)?,
            None => own,
        };
        Some((own, target))
    };
    ports.filter_map(target).collect()
}

/// The ways of a destination that a source's pod has to try: not to itself, which no policy judges, so not through a
/// Service that may send it there either; and of nodes one that is not its own, which every pod may reach.
pub fn ways_from<'a>(resolved: &'a Resolved, prober: usize, member: &Member, port: u16) -> Vec<&'a Way> {
    if resolved.behind.contains(&prober) {
        return vec![];
    }
    let there = |way: &&Way| way.ports.as_ref().is_none_or(|ports| ports.contains(&port));
    let foreign = |way: &&Way| way.pod != Some(prober) && way.node.as_ref() != Some(&member.node);
    let all = resolved.ways.iter().filter(there).filter(foreign);
    let is_node = resolved.ways.iter().any(|way| way.node.is_some());
    all.take(if is_node { 1 } else { usize::MAX }).collect()
}

/// The target that a way means on a port.
pub fn target(way: &Way, port: u16, protocol: Protocol) -> Target {
    Target::new(&way.host, port, protocol)
}
