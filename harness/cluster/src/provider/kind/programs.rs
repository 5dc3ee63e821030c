//! The programs that clusters in Docker need: found and asked for their versions before anything is started, all gaps
//! at once.

use super::command::Call;
use crate::render::{OLDEST_KUBECTL, dotted, version_in};
use gauntlet_core::Trouble;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// How long a program may take to tell its version. An engine that hangs is a gap, too.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// The oldest engine whose cgroup namespaces today's node images can use.
const OLDEST_DOCKER: Version = (20, 10, 0);

pub type Version = (u32, u32, u32);

/// Where the programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    pub docker: PathBuf,
    pub kind: PathBuf,
    /// Of the engine.
    pub docker_version: Version,
    /// What they say of their versions.
    pub versions: BTreeMap<String, String>,
}

/// A program that must be there.
struct Needed {
    name: &'static str,
    arguments: &'static [&'static str],
    oldest: Version,
    /// Why no older one will do.
    because: String,
    remedy: &'static str,
}

const GET_DOCKER: &str = "install Docker Engine (https://docs.docker.com/engine/install/), start it, and make sure that \
                          `docker version` shows a server";
const GET_KIND: &str = "install kind from https://kind.sigs.k8s.io/docs/user/quick-start/#installation";
const GET_KUBECTL: &str = "install kubectl from https://kubernetes.io/docs/tasks/tools/";

fn needed(oldest_kind: Version) -> [Needed; 3] {
    let (major, minor) = OLDEST_KUBECTL;
    [
        Needed {
            name: "docker",
            arguments: &["version", "--format", "{{.Server.Version}}"],
            oldest: OLDEST_DOCKER,
            because: "node images need it".to_owned(),
            remedy: GET_DOCKER,
        },
        Needed {
            name: "kind",
            arguments: &["version"],
            oldest: oldest_kind,
            because: "the node image was built for it; --kubernetes and --node-image choose another".to_owned(),
            remedy: GET_KIND,
        },
        Needed {
            name: "kubectl",
            arguments: &["version", "--client", "--output=json"],
            oldest: (major, minor, 0),
            because: "it renders overlays".to_owned(),
            remedy: GET_KUBECTL,
        },
    ]
}

/// Finds the programs on the path and asks each for its version.
///
/// # Errors
/// Everything that is missing or too old, each with its remedy.
pub async fn find(path: &OsStr, oldest_kind: Version) -> Result<Programs, Trouble> {
    let [docker, kind, kubectl] = needed(oldest_kind);
    let found = tokio::join!(look(path, &docker), look(path, &kind), look(path, &kubectl));
    match found {
        (Ok((docker, engine)), Ok((kind, release)), Ok(_)) => {
            let versions = [("docker", engine), ("kind", release)].map(|(name, it)| (name.to_owned(), dotted(it)));
            Ok(Programs { docker, kind, docker_version: engine, versions: versions.into() })
        }
        (docker, kind, kubectl) => {
            let gaps: Vec<Gap> = [docker.err(), kind.err(), kubectl.err()].into_iter().flatten().collect();
            Err(trouble(&gaps))
        }
    }
}

/// What is wrong with a program, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Gap {
    problem: String,
    remedy: &'static str,
}

fn trouble(gaps: &[Gap]) -> Trouble {
    let problems: Vec<&str> = gaps.iter().map(|gap| gap.problem.as_str()).collect();
    let trouble = Trouble::input(format!("clusters of kind cannot be made here:\n  {}", problems.join("\n  ")));
    gaps.iter().fold(trouble, |trouble, gap| trouble.hint(gap.remedy))
}

/// Only where the path says: other places are for packages of the distribution.
pub(super) fn on_path(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Where it is, and which version.
async fn look(path: &OsStr, needed: &Needed) -> Result<(PathBuf, Version), Gap> {
    let gap = |problem: String| Gap { problem, remedy: needed.remedy };
    let program = on_path(path, needed.name).ok_or_else(|| gap(format!("{} is not installed", needed.name)))?;
    let answer = Call::new(&program, needed.arguments, ANSWERS_WITHIN).run().await;
    let text = answer.map_err(|trouble| gap(trouble.message))?;
    let version = judge(needed, &text).map_err(gap)?;
    Ok((program, version))
}

fn judge(needed: &Needed, text: &str) -> Result<Version, String> {
    let name = needed.name;
    let found =
        version_in(text).ok_or_else(|| format!("{name} does not tell its version, it says: {}", text.trim()))?;
    if found < needed.oldest {
        let (found, oldest) = (dotted(found), dotted(needed.oldest));
        return Err(format!("{name} {found} is too old: {oldest} or later is needed ({})", needed.because));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged_as_the_programs_print_them() {
        let [docker, kind, kubectl] = needed((0, 33, 0));
        for (needed, text, problem) in [
            (&docker, "29.1.0\n", None),
            (&docker, "20.10.24+dfsg1\n", None),
            (
                &docker,
                "19.03.15\n",
                Some("docker 19.3.15 is too old: 20.10.0 or later is needed (node images need it)"),
            ),
            (&docker, "<no value>\n", Some("docker does not tell its version, it says: <no value>")),
            (&kind, "kind v0.33.0 go1.26.1 linux/amd64\n", None),
            (&kind, "kind v0.34.0-alpha+1 go1.26.1 linux/amd64\n", None),
            (
                &kind,
                "kind v0.30.0 go1.24.6 linux/amd64\n",
                Some(
                    "kind 0.30.0 is too old: 0.33.0 or later is needed (the node image was built for it; --kubernetes and \
                     --node-image choose another)",
                ),
            ),
            (&kubectl, r#"{"clientVersion": {"major": "1", "gitVersion": "v1.36.2"}}"#, None),
        ] {
            assert_eq!(judge(needed, text).err().as_deref(), problem, "{text}");
        }
    }

    #[test]
    fn all_gaps_are_told_at_once_each_with_its_remedy() {
        let gaps = ["docker is not installed", "kind is not installed"]
            .map(|problem| Gap { problem: problem.to_owned(), remedy: "get it" });
        let trouble = trouble(&gaps);
        assert!(trouble.message.ends_with("docker is not installed\n  kind is not installed"), "{trouble}");
        assert_eq!(trouble.hints.len(), 2);
        assert_eq!(trouble.exit_code(), gauntlet_core::ExitCode::BadInput);
    }
}
