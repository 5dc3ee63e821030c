//! A node makes itself known: its Node object, its conditions, and the Lease that it renews as a sign of life.
//!
//! - [`object`]: what the objects say, pure functions
//! - [`host`]: what is known of this machine

mod host;
mod object;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use embedded_apimachinery::object::{condition, condition_is_true, str_at, uid};
use embedded_apimachinery::resource::{LEASES, NODES};
use embedded_apimachinery::{Actor, Api, Result, Status, timestamp};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Conditions are posted this often when nothing changes.
const STATUS_PERIOD: Duration = Duration::from_secs(300);

/// A node as it is to appear.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    pub name: String,
    pub address: IpAddr,
    /// As in `10.244.1.0/24`.
    pub pod_cidr: String,
    /// Kubernetes quantities; what pods may use of them is all.
    pub cpu: String,
    pub memory: String,
    pub ephemeral_storage: String,
    pub pods: u16,
    /// Labelled and tainted so that only what tolerates it runs here.
    pub control_plane: bool,
    /// As in `runc://1.1.5`.
    pub container_runtime: String,
    /// The names of images that are here.
    pub images: Vec<String>,
    /// Between two signs of life: a quarter of the time for which one is good. A kubelet's is 10 s.
    pub heartbeat: Duration,
}

/// Registers the node and keeps it alive until `shutdown`, or until this future is dropped: then heartbeats cease, as
/// when a machine stops. Running it again brings the node back.
pub async fn run(api: Arc<dyn Api>, spec: NodeSpec, shutdown: CancellationToken) {
    let actor = Actor { manager: "kubelet".into(), ..Actor::system(&format!("node:{}", spec.name)) };
    let mut ticks = tokio::time::interval(spec.heartbeat);
    let node = Registration { actor, api, spec };
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut posted = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let result = match posted {
            None => node.register().map(|()| true),
            Some(at) => node.beat(at),
        };
        match result {
            Ok(true) => posted = Some(Instant::now()),
            Ok(false) => {}
            // The next beat tries again, as a kubelet does; a cluster's first moments may lack the lease's namespace.
            Err(status) => tracing::warn!("node {}: {}", node.spec.name, status.message),
        }
    }
}

struct Registration {
    api: Arc<dyn Api>,
    actor: Actor,
    spec: NodeSpec,
}

impl Registration {
    fn register(&self) -> Result<()> {
        match self.api.create(&self.actor, &NODES, "", object::node(&self.spec)) {
            Ok(_) => {}
            Err(status) if status.is_already_exists() => {
                self.modify(&NODES, "", "", &mut |node| object::adopt(node, &self.spec))?;
            }
            Err(status) => return Err(status),
        }
        self.post_status()?;
        self.renew()
    }

    /// Whether the status was posted.
    fn beat(&self, posted: Instant) -> Result<bool> {
        self.renew()?;
        let node = self.api.get(&NODES, "", &self.spec.name)?;
        // Somebody found the node silent: it speaks up.
        let doubted = !condition_is_true(&node, "Ready");
        if doubted || posted.elapsed() >= STATUS_PERIOD {
            self.post_status()?;
            return Ok(true);
        }
        Ok(false)
    }

    fn post_status(&self) -> Result<()> {
        let fresh = object::status(&self.spec, &host::info());
        let now = timestamp::now();
        self.modify(&NODES, "", "status", &mut |node| {
            let conditions = object::conditions(&now, |kind| {
                let before = condition(node, kind).filter(|before| str_at(before, "/status") == object::healthy(kind));
                before.map(|before| str_at(before, "/lastTransitionTime").to_owned())
            });
            let mut status = fresh.clone();
            status["conditions"] = conditions.into();
            node["status"] = status;
        })
    }

    fn renew(&self) -> Result<()> {
        let now = timestamp::now_micro();
        let renewed = self.modify(&LEASES, LEASE_NAMESPACE, "", &mut |lease| {
            lease["spec"]["renewTime"] = now.clone().into();
        });
        match renewed {
            Err(status) if status.is_not_found() => {
                let node = self.api.get(&NODES, "", &self.spec.name)?;
                let lease = object::lease(&self.spec, uid(&node), &now);
                self.api.create(&self.actor, &LEASES, LEASE_NAMESPACE, lease).map(drop)
            }
            other => other,
        }
    }

    fn modify(
        &self,
        resource: &embedded_apimachinery::GroupResource,
        namespace: &str,
        subresource: &str,
        change: &mut dyn FnMut(&mut Value),
    ) -> Result<()> {
        let mut change = |object: &mut Value| -> Result<(), Status> {
            change(object);
            Ok(())
        };
        self.api.modify(&self.actor, resource, namespace, &self.spec.name, subresource, &mut change).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::{Store, object::list_at};

    fn spec() -> NodeSpec {
        NodeSpec {
            name: "node-1".into(),
            address: [10, 200, 0, 1].into(),
            pod_cidr: "10.244.1.0/24".into(),
            cpu: "8".into(),
            memory: "16Gi".into(),
            ephemeral_storage: "100Gi".into(),
            pods: 110,
            control_plane: false,
            container_runtime: "runc://1".into(),
            images: vec!["redis:*".into()],
            heartbeat: Duration::from_secs(10),
        }
    }

    /// Runs the registration for some seconds of test time.
    async fn registered_for(store: &Arc<Store>, spec: NodeSpec, seconds: u64) {
        let registration = run(Arc::new(store.clone()), spec, CancellationToken::new());
        let _ = tokio::time::timeout(Duration::from_secs(seconds), registration).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_appears_ready_with_a_lease_that_it_owns() {
        let store: Arc<Store> = Arc::default();
        registered_for(&store, spec(), 1).await;
        let node = store.get(&NODES, "", "node-1").unwrap();
        assert!(condition_is_true(&node, "Ready"));
        assert_eq!(node["status"]["allocatable"]["memory"], "16Gi");
        assert_eq!(node["spec"]["podCIDR"], "10.244.1.0/24");
        let lease = store.get(&LEASES, LEASE_NAMESPACE, "node-1").unwrap();
        assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], node["metadata"]["uid"]);
        assert_eq!(lease["spec"]["leaseDurationSeconds"], 40);
    }

    #[tokio::test(start_paused = true)]
    async fn leases_are_renewed_without_posting_the_status_each_time() {
        let store: Arc<Store> = Arc::default();
        registered_for(&store, spec(), 1).await;
        let before = store.get(&NODES, "", "node-1").unwrap();
        let (_, from) = store.list(&LEASES, None);
        registered_for(&store, spec(), 35).await;
        let mut leases = store.watch(&LEASES, None, from).unwrap();
        let renewals = std::iter::from_fn(|| leases.try_next().unwrap()).count();
        assert_eq!(renewals, 4, "at once and after 10, 20 and 30 seconds");
        let after = store.get(&NODES, "", "node-1").unwrap();
        let transition = |node: &Value| condition(node, "Ready").unwrap()["lastTransitionTime"].clone();
        assert_eq!(transition(&before), transition(&after));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_was_given_up_speaks_up() {
        let store: Arc<Store> = Arc::default();
        let give_up = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let node = store.update(&NODES, "", "node-1", |node| {
                let mut node = Value::clone(node);
                node["status"]["conditions"][3]["status"] = "Unknown".into();
                Ok(node)
            });
            assert!(!condition_is_true(&node.unwrap(), "Ready"));
        };
        tokio::join!(registered_for(&store, spec(), 11), give_up);
        assert!(condition_is_true(&store.get(&NODES, "", "node-1").unwrap(), "Ready"));
    }

    #[tokio::test(start_paused = true)]
    async fn control_planes_are_tainted() {
        let store: Arc<Store> = Arc::default();
        registered_for(&store, NodeSpec { control_plane: true, ..spec() }, 1).await;
        let node = store.get(&NODES, "", "node-1").unwrap();
        let taint = &list_at(&node, "/spec/taints")[0];
        assert_eq!((str_at(taint, "/key"), str_at(taint, "/effect")), (object::CONTROL_PLANE, "NoSchedule"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_exists_keeps_what_others_said_of_it() {
        let store: Arc<Store> = Arc::default();
        registered_for(&store, spec(), 1).await;
        store
            .update(&NODES, "", "node-1", |node| {
                let mut node = Value::clone(node);
                node["spec"]["unschedulable"] = true.into();
                node["metadata"]["labels"]["rack"] = "a".into();
                Ok(node)
            })
            .unwrap();
        registered_for(&store, spec(), 1).await;
        let node = store.get(&NODES, "", "node-1").unwrap();
        assert_eq!(node["spec"]["unschedulable"], true);
        assert_eq!(node["metadata"]["labels"]["rack"], "a");
    }
}
