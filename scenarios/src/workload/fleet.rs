//! Starting, watching and ending a fleet of clients.

use super::clients::{Client, Load, Placement, SecretOf};
use super::pods;
use futures::future::try_join_all;
use gauntlet_cluster::access::RUN_LABEL;
use gauntlet_cluster::exec::{self, Output, Place};
use gauntlet_cluster::progress::Waiting;
use gauntlet_cluster::{apply, ready};
use gauntlet_core::Trouble;
use gauntlet_core::contract::Deployment;
use gauntlet_core::history::History;
use gauntlet_core::judgement::{Answer, Question};
use gauntlet_core::span::Span;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_engine::{Lab, histories};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Clients are pods of our own: they start at once or something is wrong.
const RUNNING_WITHIN: Duration = Duration::from_secs(60);

const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A word to a client and its answer; starting waits for the system, verifying reads everything back.
const ANSWERS_WITHIN: Duration = Duration::from_secs(200);

/// Words that change nothing.
const QUESTIONS: [&str; 3] = ["status", "history", "peers"];

/// How often a client is asked for its counts. It is our own process and cannot be watched.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Clients at work.
pub struct Fleet<'a> {
    lab: &'a Lab,
    clients: Vec<Client<'a>>,
    placement: Placement,
    part: String,
}

/// What the clients of a fleet recorded.
pub struct Histories {
    pub stream: String,
    /// With the name of its file in the scenario's folder.
    by_client: BTreeMap<String, (String, History)>,
}

impl Histories {
    /// The history of the client of that store or pipeline.
    pub fn of(&self, name: &str) -> Option<&History> {
        self.by_client.get(name).map(|(_, history)| history)
    }

    /// Asks them something, and records what they answer.
    pub fn ask(&self, lab: &Lab, question: Question) -> Answer {
        lab.ask(&self.by_client, question)
    }

    /// The groups that a client's operations have, of those that are wanted.
    pub fn groups(&self, client: &str, is_wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
        let attempts = self.of(client).into_iter().flat_map(|history| &history.attempts);
        let groups: BTreeSet<&String> = attempts.filter_map(|attempt| attempt.group.as_ref()).collect();
        groups.into_iter().filter(|group| is_wanted(group)).cloned().collect()
    }

    /// The histories of the clients that know one endpoint only, by its host's name.
    pub fn pinned<'a>(&'a self, deployment: Deployment<'a>) -> impl Iterator<Item = (&'a str, &'a History)> {
        let names = Client::pinned(deployment).into_iter().map(|client| client.name());
        names.filter_map(|name| Some((name, self.of(name)?)))
    }
}

impl<'a> Fleet<'a> {
    /// Starts a client for everything that the deployment offers, and waits until each has reached what it uses.
    /// Others that come before and after on the same cluster have other names, so that nobody finds what they wrote.
    ///
    /// # Errors
    /// A client did not start, or could not reach what it uses.
    pub async fn start(lab: &'a Lab, part: &str, load: Load) -> Result<Self, Trouble> {
        let mut clients = Client::all(lab.deployment());
        if load.pinned {
            clients.extend(Client::pinned(lab.deployment()));
        }
        let node = lab.cluster().quiet_node().map(str::to_owned);
        let settled_within = lab.deployment().contract.objectives.jobs.as_ref().map(|jobs| jobs.settled_within);
        let image = lab.cluster().agent_image().to_owned();
        let (run, fleet) = (lab.run.clone(), format!("{}-{part}", lab.slug()));
        let placement = Placement { run, fleet, node, image, load, seed: lab.seed, settled_within };
        let fleet = Self { lab, clients, placement, part: part.to_owned() };
        let mut objects = pods::policies(lab.deployment(), &fleet.clients);
        objects.push(pods::namespace(&fleet.placement));
        objects.extend(secret_copies(lab, &fleet.clients, &fleet.placement).await?);
        objects.extend(fleet.clients.iter().map(|client| pods::pod(lab.deployment(), client, &fleet.placement)));
        apply::apply(lab.access(), &lab.run, objects).await.map_err(|t| t.doing("cannot start the clients"))?;
        fleet.running().await?;
        fleet.tell_all("start").await?;
        Ok(fleet)
    }

    async fn running(&self) -> Result<(), Trouble> {
        let names: Vec<String> = self.clients.iter().map(|client| self.placement.pod_name(client)).collect();
        let namespace = self.placement.namespace();
        let condition = |snapshot: &gauntlet_cluster::view::Snapshot| {
            let ours = || snapshot.pods.iter().filter(|pod| pod.namespace().as_ref() == Some(&namespace));
            let is_up = |name: &String| {
                let pod = ours().find(|pod| pod.name_any() == *name);
                pod.is_some_and(|pod| ready::is_ready(pod))
            };
            let down: Vec<&str> = names.iter().filter(|name| !is_up(name)).map(String::as_str).collect();
            let troubles: Vec<String> = ours()
                .filter(|pod| down.contains(&pod.name_any().as_str()))
                .filter_map(|pod| ready::pod_trouble(pod))
                .collect();
            if down.is_empty() { Ok(()) } else { Err(format!("{} ({})", down.join(", "), troubles.join("; "))) }
        };
        self.lab.view().until("the clients to run", RUNNING_WITHIN, self.lab.progress(), condition).await
    }

    /// Says a word to a client. What only asks is said again where the stream breaks.
    async fn tell(&self, client: &Client<'_>, word: &str) -> Result<Output, Trouble> {
        let pod = self.placement.pod_name(client);
        let namespace = self.placement.namespace();
        let place = Place { namespace: &namespace, pod: &pod, container: "agent" };
        let seconds = ANSWERS_WITHIN.as_secs().to_string();
        let command = ["/gauntlet", "agent", "control", word, "--timeout", &seconds];
        // Its own excuse is better than ours.
        let within = ANSWERS_WITHIN + Duration::from_secs(10);
        match QUESTIONS.contains(&word) {
            true => exec::ask(self.lab.access(), place, &command, within).await,
            false => exec::exec(self.lab.access(), place, &command, within).await,
        }
    }

    /// The name of the stream that the fleet publishes to.
    pub fn stream(&self) -> String {
        self.placement.stream()
    }

    /// The names of its clients, and the pod and the namespace that each is.
    pub fn pods(&self) -> Vec<(&'a str, String, String)> {
        let pod = |client: &Client<'a>| (client.name(), self.placement.pod_name(client), self.placement.namespace());
        self.clients.iter().map(pod).collect()
    }

    /// Asks the client of that store or pipeline something.
    ///
    /// # Errors
    /// It does not answer, or does not know.
    pub async fn ask(&self, name: &str, word: &str) -> Result<String, String> {
        let client = self.clients.iter().find(|client| client.name() == name);
        let client = client.ok_or_else(|| format!("{name} has no client"))?;
        match self.tell(client, word).await {
            Ok(output) if output.success() => Ok(output.stdout),
            Ok(output) => Err(format!("{}{}", output.stdout, output.stderr).trim().to_owned()),
            Err(trouble) => Err(trouble.message),
        }
    }

    async fn tell_all(&self, word: &str) -> Result<(), Trouble> {
        try_join_all(self.clients.iter().map(async |client| {
            let output = self.tell(client, word).await?;
            if output.success() {
                return Ok(());
            }
            let said = format!("{}{}", output.stdout, output.stderr);
            Err(Trouble::harness(format!("the client of {} could not {word}: {}", client.name(), said.trim())))
        }))
        .await
        .map(drop)
    }

    /// How many operations have succeeded, by client and by what fails together (a shard, say): one that is down must
    /// not hide behind the others.
    ///
    /// # Errors
    /// A client does not answer.
    pub async fn successes(&self) -> Result<BTreeMap<String, u64>, Trouble> {
        let counts = try_join_all(self.clients.iter().map(async |client| {
            let output = self.tell(client, "status").await?;
            let status: Value = serde_json::from_str(&output.stdout)
                .or_trouble(|| format!("the client of {} gave no status", client.name()))?;
            Ok::<_, Trouble>(counts(client.name(), &status))
        }))
        .await?;
        Ok(counts.into_iter().flatten().collect())
    }

    /// Waits until every client has succeeded `more` times more than now. Whether that came before the deadline.
    ///
    /// # Errors
    /// A client does not answer.
    pub async fn progress(&self, more: u64, deadline: Duration) -> Result<bool, Trouble> {
        self.progress_of(|_| true, more, deadline).await
    }

    /// Waits until every client is served again, or must have been: who was not, histories tell. That it looks broken is
    /// known already.
    ///
    /// # Errors
    /// A client does not answer.
    pub async fn served_again(&self, more: u64, deadline: Duration) -> Result<(), Trouble> {
        self.served_again_of(|_| true, more, deadline).await
    }

    /// As [`Fleet::served_again`], of those clients only whose names are wanted.
    ///
    /// # Errors
    /// As there.
    pub async fn served_again_of(
        &self,
        wanted: impl Fn(&str) -> bool,
        more: u64,
        deadline: Duration,
    ) -> Result<(), Trouble> {
        if !self.progress_of(wanted, more, deadline).await? {
            self.lab.suspect(format!("not every client has succeeded {more} times again within {}", Span(deadline)));
        }
        Ok(())
    }

    /// As [`Fleet::progress`], of those clients only whose names are wanted.
    ///
    /// # Errors
    /// As there.
    pub async fn progress_of(
        &self,
        wanted: impl Fn(&str) -> bool,
        more: u64,
        deadline: Duration,
    ) -> Result<bool, Trouble> {
        let before = self.successes().await?;
        let mut waiting =
            Waiting::start(format!("every client to succeed {more} times"), deadline, self.lab.progress());
        let until = waiting.until();
        loop {
            let now = self.successes().await?;
            let behind: Vec<String> = now
                .iter()
                .filter(|(name, _)| wanted(name.split(", ").next().unwrap_or(name)))
                .map(|(name, n)| (name, n.saturating_sub(before.get(name).copied().unwrap_or(0))))
                .filter(|(_, gained)| *gained < more)
                .map(|(name, _)| name.clone())
                .collect();
            if behind.is_empty() {
                return Ok(true);
            }
            if tokio::time::Instant::now() >= until {
                return Ok(false);
            }
            waiting.seen(&format!("not yet: {}", behind.join(", ")));
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Ends the work, lets every client read back what is there, and takes their histories into the scenario's folder.
    ///
    /// # Errors
    /// A history could not be had. What a client could not read back its history says itself.
    pub async fn finish(self) -> Result<Histories, Trouble> {
        self.tell_all("stop").await?;
        let verified = self.clients.iter().map(async |client| self.tell(client, "verify").await);
        try_join_all(verified).await?;
        let mut by_client = BTreeMap::new();
        for client in &self.clients {
            let (file, history) = self.history(client).await?;
            self.lab.series(client.name(), &self.part, &history);
            by_client.insert(client.name().to_owned(), (file, history));
        }
        self.remove().await?;
        Ok(Histories { stream: self.placement.stream(), by_client })
    }

    /// What a client recorded, and the name of the file that keeps it. The client's file is the record; a copy that was
    /// damaged on its way is taken once more.
    async fn history(&self, client: &Client<'_>) -> Result<(String, History), Trouble> {
        for last in [false, true] {
            let text = self.tell(client, "history").await?.stdout;
            // What servers answered is in it.
            let told = self.lab.redactor.lines(&text);
            let file = histories::write(&self.lab.folder, &self.placement.pod_name(client), &told)?;
            match History::parse(&text) {
                Ok(history) => return Ok((file, history)),
                Err(error) if last => {
                    let name = client.name();
                    return Err(Trouble::harness(format!("the history of the client of {name} is damaged: {error}")));
                }
                Err(error) => self.lab.note(format!("a copy of a history was damaged, taking another: {error}")),
            }
        }
        Err(Trouble::harness("no history was taken"))
    }

    /// Removes the clients with their namespace, and waits until it is gone: another fleet may bear the same name.
    async fn remove(&self) -> Result<(), Trouble> {
        let api: Api<Namespace> = Api::all(self.lab.access().client.clone());
        let name = self.placement.namespace();
        let doing = || format!("cannot remove namespace {name}");
        let found = api.get(&name).await.or_trouble(doing)?;
        api.delete(&name, &DeleteParams::default()).await.or_trouble(doing)?;
        let uid = found.uid().unwrap_or_default();
        let gone = await_condition(api, &name, is_deleted(&uid));
        match tokio::time::timeout(GONE_WITHIN, gone).await {
            Ok(gone) => gone.or_trouble(doing).map(drop),
            Err(_) => {
                Err(Trouble::harness(format!("namespace {name} of the clients is not gone after {GONE_WITHIN:?}")))
            }
        }
    }
}

/// Copies of the secrets that the clients need, in their namespace.
///
/// # Errors
/// A secret could not be read.
pub async fn secret_copies(lab: &Lab, clients: &[Client<'_>], placement: &Placement) -> Result<Vec<Value>, Trouble> {
    let deployment = lab.deployment();
    let needed: BTreeSet<SecretOf<'_>> = clients.iter().flat_map(|client| client.secrets(deployment)).collect();
    try_join_all(needed.into_iter().map(async |secret| {
        let api: Api<Secret> = Api::namespaced(lab.access().client.clone(), secret.namespace);
        let doing = || format!("cannot read secret {}/{}", secret.namespace, secret.name);
        let found = api.get(secret.name).await.or_trouble(doing)?;
        Ok(json!({"apiVersion": "v1", "kind": "Secret", "type": found.type_, "data": found.data,
            "metadata": {"name": secret.copy_name(), "namespace": placement.namespace()}}))
    }))
    .await
}

/// Removes the policies that let clients of fleets in: they stay when a fleet ends, and whoever looks at the policies
/// of the system must not see ours.
///
/// # Errors
/// They could not be removed.
pub async fn remove_policies(lab: &Lab) -> Result<(), Trouble> {
    let doing = || "cannot remove the policies of earlier clients";
    let list = ListParams::default().labels(&format!("{}=clients,{RUN_LABEL}={}", pods::LABEL, lab.run));
    let api: Api<NetworkPolicy> = Api::all(lab.access().client.clone());
    for policy in api.list(&list).await.or_trouble(doing)?.items {
        let namespace = policy.namespace().unwrap_or_default();
        let api: Api<NetworkPolicy> = Api::namespaced(lab.access().client.clone(), &namespace);
        api.delete(&policy.name_any(), &DeleteParams::default()).await.or_trouble(doing)?;
    }
    Ok(())
}

fn counts(client: &str, status: &Value) -> Vec<(String, u64)> {
    let ok = |tally: &Value| tally["ok"].as_u64().unwrap_or(0);
    let groups = status["groups"].as_object().into_iter().flatten();
    let of_groups = groups.map(|(name, group)| (format!("{client}, {name}"), ok(group)));
    std::iter::once((client.to_owned(), ok(status))).chain(of_groups).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_group_is_counted_for_itself() {
        let status = json!({"ok": 7, "groups": {"shard of a": {"ok": 7}, "shard of b": {"ok": 0}}});
        let expected = [("redis", 7), ("redis, shard of a", 7), ("redis, shard of b", 0)];
        assert_eq!(counts("redis", &status), expected.map(|(name, n)| (name.to_owned(), n)));
    }
}
