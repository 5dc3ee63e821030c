//! The containers that clusters' nodes are, as Docker knows them.

use super::command::Call;
use gauntlet_core::Trouble;
use gauntlet_core::span::Span;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long the engine may take to list or remove containers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);

/// How long containers may still be listed, or come anew, while they are removed.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// How long nothing must be listed where the engine may still be making something: it answers nobody any more who
/// could be asked for when it is done.
pub const STILL_FOR: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// By this label kind knows the containers of a cluster.
const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";

/// By this one what each is for.
const ROLE_LABEL: &str = "io.x-k8s.kind.role";

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    /// In Docker's words: `running`, `paused`, `exited` and others.
    pub state: String,
    role: String,
}

impl Container {
    /// Of a line with its name, its state and its role.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some(Self { name: words.next()?, state: words.next()?, role: words.next().unwrap_or_default() })
    }

    /// How a person gets it to run.
    fn remedy(&self) -> String {
        format!("docker {} {}", if self.state == "paused" { "unpause" } else { "start" }, self.name)
    }
}

/// The containers of a cluster.
pub async fn of(docker: &Path, name: &str) -> Result<Vec<Container>, Trouble> {
    let filter = format!("label={CLUSTER_LABEL}={name}");
    let format = format!("{{{{.Names}}}} {{{{.State}}}} {{{{.Label \"{ROLE_LABEL}\"}}}}");
    let list = ["ps", "--all", "--filter", &filter, "--format", &format];
    let found = Call::new(docker, list, ANSWERS_WITHIN).run().await?;
    Ok(found.lines().filter_map(Container::read).collect())
}

/// The names of all clusters that have containers, whoever made them.
pub async fn clusters(docker: &Path) -> Result<BTreeSet<String>, Trouble> {
    let (filter, format) = (format!("label={CLUSTER_LABEL}"), format!("{{{{.Label \"{CLUSTER_LABEL}\"}}}}"));
    let list = ["ps", "--all", "--filter", &filter, "--format", &format];
    let found = Call::new(docker, list, ANSWERS_WITHIN).run().await?;
    Ok(found.split_whitespace().map(str::to_owned).collect())
}

/// The ports of this machine that lead to a cluster's nodes: for each a line with its name and them.
pub async fn ports(docker: &Path, name: &str) -> Result<String, Trouble> {
    let filter = format!("label={CLUSTER_LABEL}={name}");
    let list = ["ps", "--filter", &filter, "--format", "{{.Names}} {{.Ports}}"];
    Call::new(docker, list, ANSWERS_WITHIN).run().await
}

/// Whether the API of a cluster can answer: a node of the control plane runs, which one that is paused does not.
///
/// # Errors
/// None runs: what they do instead, and how they get to run.
pub fn can_answer(name: &str, containers: &[Container]) -> Result<(), Trouble> {
    let leading: Vec<&Container> = containers.iter().filter(|container| container.role == "control-plane").collect();
    if leading.iter().any(|container| container.state == "running") {
        return Ok(());
    }
    let told: Vec<String> =
        leading.iter().map(|container| format!("{} is {}", container.name, container.state)).collect();
    let told = if told.is_empty() { "there is none".to_owned() } else { told.join(", ") };
    let trouble = Trouble::harness(format!("no node of the control plane of {name} runs: {told}"));
    Err(leading.iter().fold(trouble, |trouble, container| trouble.hint(format!("`{}`", container.remedy()))))
}

/// Removes the containers of a cluster until none has been listed for that long.
///
/// # Errors
/// The engine cannot be asked; or what is left, and how to remove it.
pub async fn remove(docker: &Path, name: &str, still_for: Duration) -> Result<(), Trouble> {
    let until = Instant::now() + GONE_WITHIN;
    let mut still_since = None;
    loop {
        let found = of(docker, name).await?;
        let now = Instant::now();
        if found.is_empty() {
            if now - *still_since.get_or_insert(now) >= still_for {
                return Ok(());
            }
        } else {
            still_since = None;
            let names = found.iter().map(|container| &container.name);
            let removed = Call::new(docker, ["rm", "--force", "--volumes"], ANSWERS_WITHIN).with(names).run().await;
            // What counts is what is listed afterwards: somebody else may remove them, too.
            if now >= until {
                return Err(left(&found, removed.err()));
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn left(found: &[Container], refused: Option<Trouble>) -> Trouble {
    let told: Vec<String> = found.iter().map(|container| format!("{} ({})", container.name, container.state)).collect();
    let names: Vec<&str> = found.iter().map(|container| container.name.as_str()).collect();
    let refused = refused.map(|trouble| format!("; {}", trouble.message)).unwrap_or_default();
    let told = format!("containers are left after {}: {}{refused}", Span(GONE_WITHIN), told.join(", "));
    Trouble::harness(told).hint(format!("remove them with `docker rm --force --volumes {}`", names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(lines: &[&str]) -> Vec<Container> {
        lines.iter().map(|line| Container::read(line).unwrap()).collect()
    }

    #[test]
    fn an_api_answers_where_a_node_of_the_control_plane_runs() {
        for (lines, expected) in [
            (&["c running control-plane", "w paused worker"][..], None),
            (&["c paused control-plane", "c2 running control-plane", "l running external-load-balancer"], None),
            // Paused is not running, and a worker leads nobody.
            (&["c paused control-plane", "w running worker"], Some(("c is paused", "`docker unpause c`"))),
            (&["c exited control-plane", "w running worker"], Some(("c is exited", "`docker start c`"))),
            (&["c created control-plane"], Some(("c is created", "`docker start c`"))),
        ] {
            let trouble = can_answer("g", &containers(lines)).err();
            let told = trouble.as_ref().map(|trouble| (trouble.message.as_str(), trouble.hints.concat()));
            let told = told.map(|(message, hints)| (message.rsplit(": ").next().unwrap(), hints));
            assert_eq!(told, expected.map(|(message, hint)| (message, hint.to_owned())), "{lines:?}");
        }
        assert!(can_answer("g", &containers(&["w running worker"])).unwrap_err().message.ends_with("there is none"));
    }

    #[test]
    fn what_is_left_is_told_with_how_to_remove_it() {
        let found = containers(&["c removing control-plane", "w created worker"]);
        let trouble = left(&found, Some(Trouble::harness("docker is busy")));
        assert_eq!(trouble.message, "containers are left after 30s: c (removing), w (created); docker is busy");
        assert_eq!(trouble.hints, ["remove them with `docker rm --force --volumes c w`"]);
    }
}
