//! Powers that the Kubernetes API does not give, on a cluster that is not made of our own parts: an agent on every node.
//!
//! - [`manifest`]: what is created for it; [`rules`]: faults of the traffic as each node has to keep them (pure)
//! - [`answers`]: what an answer says of a fault (pure)
//!
//! The agents undo everything by themselves when they have not heard of us for the length of their lease, so that nothing
//! stays disturbed when this program dies.

mod answers;
pub mod manifest;
pub mod rules;

use crate::access::Access;
use crate::apply;
use crate::exec::{self, Place};
use crate::progress::Logged;
use crate::ready;
use crate::traffic::{Counters, Dialled, TrafficFault};
use crate::view::{Snapshot, View};
use answers::{unexpected, was_in_effect, was_kept_down};
use futures::future::join_all;
use gauntlet_core::node_agent::{Answer, Container, Request, Rule};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Capability, Trouble};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// How long the agents may take to run on all nodes where nobody says otherwise; their image may have to be pulled.
const RUN_WITHIN: Duration = Duration::from_secs(180);

/// A node that is busy may take its time to start a command.
const ANSWERS_WITHIN: Duration = Duration::from_secs(45);

/// Several times within the lease.
const RENEW_EVERY: Duration = Duration::from_secs(6);

/// How long a node may take for it: one that is silent must not let the leases of the others run out.
const RENEWS_WITHIN: Duration = Duration::from_secs(6);

/// Whom somebody else has seen, our own watch sees soon.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Streams through the API break; what agents are asked can be asked again.
const TRIES: u32 = 4;

/// Before the second try; each further one waits as much longer.
const PAUSE: Duration = Duration::from_millis(700);

/// The powers that they give.
pub const GIVE: [Capability; 2] = [Capability::HoldContainer, Capability::ShapeNetwork];

/// The agents on the nodes of a cluster.
pub struct NodeAgents {
    inner: Arc<Inner>,
    /// Ends the renewal when this is dropped.
    _renewal: JoinSet<()>,
}

struct Inner {
    access: Access,
    namespace: String,
    view: View,
    /// Where a container was when it was held.
    held: Mutex<BTreeMap<Held, (String, Container)>>,
    standing: Mutex<BTreeMap<String, Standing>>,
}

/// Namespace, pod and container.
type Held = (String, String, String);

/// A fault of the traffic that is in effect.
struct Standing {
    fault: TrafficFault,
    /// What each node has been told.
    told: BTreeMap<String, Vec<Rule>>,
}

impl NodeAgents {
    /// As [`NodeAgents::deploy_within`], with patience for one image that is pulled.
    ///
    /// # Errors
    /// They may not be created, or do not run in time.
    pub async fn deploy(access: &Access, run: &str, image: &str) -> Result<Self, Trouble> {
        Self::deploy_within(access, run, image, RUN_WITHIN).await
    }

    /// Brings an agent to every node and waits until all of them answer.
    ///
    /// # Errors
    /// They may not be created, or do not run in time.
    pub async fn deploy_within(access: &Access, run: &str, image: &str, within: Duration) -> Result<Self, Trouble> {
        apply::apply(access, run, manifest::objects(run, image)).await?;
        let agents = Self::of(access, run);
        let inner = &agents.inner;
        let wanted = |snapshot: &Snapshot| {
            let set = snapshot.daemon_sets.iter().find(|set| set.namespace().as_ref() == Some(&inner.namespace));
            manifest::all_run(set.map(Arc::as_ref).ok_or("they are not seen yet")?).map_err(|lacking| {
                let ours = snapshot.pods.iter().filter(|pod| pod.namespace().as_ref() == Some(&inner.namespace));
                let troubles: Vec<String> = ours.filter_map(|pod| ready::pod_trouble(pod)).collect();
                if troubles.is_empty() { lacking } else { format!("{lacking}; {}", troubles.join("; ")) }
            })
        };
        inner.view.until("the agents on the nodes to run", within, &Logged, wanted).await?;
        for answer in inner.ask_all(&Request::Renew).await {
            answer?;
        }
        Ok(agents)
    }

    /// The agents that a run has brought to the nodes; `None` where there are none.
    ///
    /// # Errors
    /// It cannot be seen whether there are any.
    pub async fn find(access: &Access, run: &str) -> Result<Option<Self>, Trouble> {
        let api: Api<Namespace> = Api::all(access.client.clone());
        let found = api.get_opt(&manifest::namespace(run)).await;
        if found.or_trouble(|| "cannot look for agents on the nodes")?.is_none() {
            return Ok(None);
        }
        let agents = Self::of(access, run);
        agents.inner.view.complete().await;
        Ok(Some(agents))
    }

    fn of(access: &Access, run: &str) -> Self {
        let inner = Arc::new(Inner {
            access: access.clone(),
            namespace: manifest::namespace(run),
            view: View::of(access),
            held: Mutex::default(),
            standing: Mutex::default(),
        });
        let mut renewal = JoinSet::new();
        renewal.spawn(inner.clone().renew());
        renewal.spawn(inner.clone().follow());
        Self { inner, _renewal: renewal }
    }

    /// # Errors
    /// The pod is nowhere, or its node refuses.
    pub async fn hold(&self, namespace: &str, pod: &str, container: &str) -> Result<(), Trouble> {
        let (node, uid) = self.inner.place_of(namespace, pod).await?;
        let target = Container { pod: uid, container: container.to_owned() };
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        self.inner.held.lock().await.insert(key, (node.clone(), target.clone()));
        self.inner.ask(&node, &Request::Hold(target)).await.map(drop)
    }

    /// # Errors
    /// The node of the pod refuses, or the container was released before.
    pub async fn release(&self, namespace: &str, pod: &str, container: &str) -> Result<(), Trouble> {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        let mut held = self.inner.held.lock().await;
        let Some((node, target)) = held.get(&key).cloned() else {
            // Held by somebody before us, if it still is.
            let (node, pod) = self.inner.place_of(namespace, pod).await?;
            let target = Container { pod, container: container.to_owned() };
            return self.inner.ask(&node, &Request::Release(target)).await.map(drop);
        };
        let answer = self.inner.ask(&node, &Request::Release(target)).await?;
        held.remove(&key);
        was_in_effect(&node, &answer)?;
        was_kept_down(&node, container, &answer)
    }

    /// How many processes of a container run, and how many have stood still since they were started.
    ///
    /// # Errors
    /// The pod is nowhere, or its node does not answer.
    pub async fn processes(&self, namespace: &str, pod: &str, container: &str) -> Result<(usize, usize), Trouble> {
        let (node, pod) = self.inner.place_of(namespace, pod).await?;
        let target = Container { pod, container: container.to_owned() };
        match self.inner.ask(&node, &Request::Look(target)).await? {
            Answer::Processes { running, still } => Ok((running, still)),
            other => Err(unexpected(&node, &other)),
        }
    }

    /// # Errors
    /// No party is a pod that runs, or a node refuses.
    pub async fn disturb(&self, id: &str, fault: &TrafficFault) -> Result<(), Trouble> {
        let what = format!("those to be known whose traffic this is about: {fault}");
        let rules =
            self.inner.view.until(&what, SEEN_WITHIN, &Logged, |snapshot| rules::by_node(fault, snapshot)).await?;
        let mut standing = self.inner.standing.lock().await;
        let told = standing.remove(id).map(|before| before.told).unwrap_or_default();
        let result = self.inner.tell(id, &told, &rules).await;
        standing.insert(id.to_owned(), Standing { fault: fault.clone(), told: rules });
        result
    }

    /// # Errors
    /// A node refuses, or the traffic was restored there before.
    pub async fn restore(&self, id: &str) -> Result<(), Trouble> {
        let mut standing = self.inner.standing.lock().await;
        let request = restore(id);
        let Some(known) = standing.get(id) else {
            // Put into effect by somebody before us, if it still is.
            return self.inner.ask_all(&request).await.into_iter().collect::<Result<Vec<Answer>, Trouble>>().map(drop);
        };
        let nodes: Vec<String> = known.told.keys().cloned().collect();
        let asked = join_all(nodes.iter().map(|node| self.inner.ask(node, &request))).await;
        let answers = asked.into_iter().collect::<Result<Vec<Answer>, Trouble>>()?;
        standing.remove(id);
        nodes.iter().zip(&answers).try_for_each(|(node, answer)| was_in_effect(node, answer))
    }

    /// # Errors
    /// There is no such fault, or a node does not answer.
    pub async fn counters(&self, id: &str) -> Result<Counters, Trouble> {
        let standing = self.inner.standing.lock().await;
        let known = standing.get(id).ok_or_else(|| Trouble::harness(format!("there is no fault {id}")))?;
        let mut sum = Counters { seen: 0, dropped: 0, delayed: 0 };
        for node in known.told.keys() {
            match self.inner.ask(node, &Request::Count { id: id.to_owned() }).await? {
                Answer::Packets { seen, dropped } => {
                    sum.seen += seen;
                    sum.dropped += dropped;
                }
                other => return Err(unexpected(node, &other)),
            }
        }
        Ok(sum)
    }

    /// The rules and routes of each node's own network.
    pub async fn networks(&self) -> String {
        let nodes: Vec<String> = self.inner.agents().into_keys().collect();
        let request = Request::Network;
        let answers = join_all(nodes.iter().map(|node| self.inner.ask(node, &request))).await;
        let told = nodes.iter().zip(answers).map(|(node, answer)| match answer {
            Ok(Answer::Text(text)) => format!("## {node}\n{text}\n"),
            Ok(other) => format!("## {node}\n{}\n", unexpected(node, &other).message),
            Err(trouble) => format!("## {node}\n{}\n", trouble.message),
        });
        told.collect()
    }

    /// # Errors
    /// The connection could not be tried.
    pub async fn dial(&self, namespace: &str, pod: &str, to: SocketAddr, within: Duration) -> Result<Dialled, Trouble> {
        let (node, pod) = self.inner.place_of(namespace, pod).await?;
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        match self.inner.ask(&node, &Request::Dial { pod, address: to.to_string(), within_ms }).await? {
            Answer::Dialled(dialled) => Ok(dialled),
            other => Err(unexpected(&node, &other)),
        }
    }
}

impl Inner {
    /// Node and UID of a pod.
    async fn place_of(&self, namespace: &str, name: &str) -> Result<(String, String), Trouble> {
        let named = |pod: &&Arc<Pod>| pod.name_any() == name && pod.namespace().as_deref() == Some(namespace);
        let what = format!("{namespace}/{name} to be on a node");
        let on_a_node = |snapshot: &Snapshot| {
            let pod = snapshot.pods.iter().find(named).ok_or("there is no such pod")?;
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            node.zip(pod.uid()).ok_or_else(|| "it is on none".to_owned())
        };
        self.view.until(&what, SEEN_WITHIN, &Logged, on_a_node).await
    }

    async fn ask_all(&self, request: &Request) -> Vec<Result<Answer, Trouble>> {
        let nodes: Vec<String> = self.agents().into_keys().collect();
        join_all(nodes.iter().map(|node| self.ask(node, request))).await
    }

    /// The agent's pod on each node.
    fn agents(&self) -> BTreeMap<String, String> {
        let pods = self.view.snapshot().pods.into_iter();
        let ours = pods.filter(|pod| {
            let running = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
            running && pod.namespace().as_ref() == Some(&self.namespace) && pod.metadata.deletion_timestamp.is_none()
        });
        ours.filter_map(|pod| Some((pod.spec.as_ref()?.node_name.clone()?, pod.name_any()))).collect()
    }

    async fn ask(&self, node: &str, request: &Request) -> Result<Answer, Trouble> {
        let doing = || format!("cannot ask the agent on {node}");
        let text = serde_json::to_string(request).or_trouble(doing)?;
        let mut last = Trouble::harness(format!("{}: none runs there", doing()));
        for n in 0..TRIES {
            // An agent that has just been started may not listen yet.
            tokio::time::sleep(PAUSE * n).await;
            let Some(pod) = self.agents().remove(node) else { break };
            match self.ask_once(&pod, &text).await {
                Ok(Answer::Failed(why)) => return Err(Trouble::harness(format!("the agent on {node}: {why}"))),
                Ok(answer) => return Ok(answer),
                Err(trouble) => last = trouble.doing(doing()),
            }
        }
        Err(last)
    }

    async fn ask_once(&self, pod: &str, request: &str) -> Result<Answer, Trouble> {
        let place = Place { namespace: &self.namespace, pod, container: manifest::CONTAINER };
        let command = [crate::images::PROGRAM, "agent", "node", "ask", request];
        let output = exec::exec(&self.access, place, &command, ANSWERS_WITHIN).await?;
        if !output.success() {
            return Err(Trouble::harness(format!("it ended with {}: {}", output.code, output.stderr.trim())));
        }
        serde_json::from_str(&output.stdout).or_trouble(|| "its answer cannot be understood")
    }

    /// Tells every node what has changed for it.
    async fn tell(
        &self,
        id: &str,
        told: &BTreeMap<String, Vec<Rule>>,
        rules: &BTreeMap<String, Vec<Rule>>,
    ) -> Result<(), Trouble> {
        let changed = rules.iter().filter(|(node, rules)| told.get(*node) != Some(rules));
        let disturb = |rules: &Vec<Rule>| Request::Disturb { id: id.to_owned(), rules: rules.clone() };
        let mut requests: Vec<(&String, Request)> = changed.map(|(node, rules)| (node, disturb(rules))).collect();
        requests.extend(told.keys().filter(|node| !rules.contains_key(*node)).map(|node| (node, restore(id))));
        let answers = join_all(requests.iter().map(|(node, request)| self.ask(node, request))).await;
        answers.into_iter().collect::<Result<Vec<Answer>, Trouble>>().map(drop)
    }

    async fn renew(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let Ok(request) = serde_json::to_string(&Request::Renew) else { return };
            let agents = self.agents();
            let asked = agents.iter().map(async |(node, pod)| {
                // Not asked twice: the next round comes soon.
                match tokio::time::timeout(RENEWS_WITHIN, self.ask_once(pod, &request)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(trouble)) => tracing::warn!(node, trouble = trouble.message, "a lease may run out"),
                    Err(_) => tracing::warn!(node, "a lease may run out: the agent did not answer in time"),
                }
            });
            join_all(asked).await;
        }
    }

    /// Faults follow the pods that they are about: one that comes back with another address is meant, too.
    async fn follow(self: Arc<Self>) {
        let mut changes = self.view.changes();
        while changes.changed().await.is_ok() {
            let snapshot = self.view.snapshot();
            let mut standing = self.standing.lock().await;
            for (id, known) in standing.iter_mut() {
                let Ok(rules) = rules::by_node(&known.fault, &snapshot) else { continue };
                if rules == known.told {
                    continue;
                }
                match self.tell(id, &known.told, &rules).await {
                    Ok(()) => known.told = rules,
                    // The next change tries again: a pod has an address before it has processes.
                    Err(trouble) => tracing::debug!(trouble = trouble.message, "a fault is not up to date"),
                }
            }
        }
    }
}

fn restore(id: &str) -> Request {
    Request::Restore { id: id.to_owned() }
}
