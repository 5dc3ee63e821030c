//! From the specification of a container to a running one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object;
use embedded_apimachinery::quantity::Quantity;
use serde_json::Value;

use super::context::{NamespaceLookup, Node};
use super::fields::NodeFacts;
use super::network::Attachment;
use super::slot::{Running, Slot, State, Terminated};
use super::volumes::Volumes;
use super::{env, mounts, security};
use crate::image::ImageRecipe;
use crate::runtime::{ContainerConfig, Limits, Mount, MountKind, Processes, RuntimeError};

/// Where a pod lives: its network and volumes.
pub struct Sandbox {
    pub attachment: Attachment,
    pub volumes: Volumes,
    pub facts: NodeFacts,
}

/// Why a container did not start: the reason and message it waits with.
#[derive(Debug)]
pub struct NotStarted {
    pub reason: &'static str,
    pub message: String,
}

fn config_error(message: String) -> NotStarted {
    NotStarted { reason: "CreateContainerConfigError", message }
}

/// Starts a container and notes it in its slot: as running, or as ended when its program cannot be started.
pub async fn start(
    node: &Node,
    pod: &Value,
    container: &Value,
    recipe: &ImageRecipe,
    sandbox: &Sandbox,
    target: Option<i32>,
    slot: &mut Slot,
) -> Result<(), NotStarted> {
    if let Some(program) = recipe.requires.iter().find(|program| !is_installed(program)) {
        let message = format!("{program} is not installed on this machine");
        return Err(NotStarted { reason: "CreateContainerError", message });
    }
    let config = assemble(node, pod, container, recipe, sandbox, target, slot).map_err(config_error)?;
    let started = match node.machine.runtime.start(&config).await {
        Err(error @ RuntimeError::Io { .. }) => {
            return Err(NotStarted { reason: "CreateContainerError", message: error.to_string() });
        }
        other => other,
    };
    node.event("Normal", pod, &slot.name, "Created", "Container created".into());
    if let Some(ended) = slot.ended().cloned() {
        slot.last = Some(ended);
    }
    slot.container_id = format!("containerd://{}", hash(&config.id));
    slot.image_id = format!("sha256:{}", hash(object::str_at(container, "/image")));
    slot.user = Some(config.user.clone());
    slot.state = match started {
        Ok(started) => {
            node.event("Normal", pod, &slot.name, "Started", "Container started".into());
            State::Running(Running { id: config.id, pid: started.pid, since: Utc::now(), exit: started.exit })
        }
        Err(error) => {
            let message = error.to_string();
            node.event("Warning", pod, &slot.name, "Failed", format!("Error: {message}"));
            State::Terminated(refused(message, &slot.container_id))
        }
    };
    Ok(())
}

/// The end of a container whose program the runtime could not start, as containerd has it.
fn refused(message: String, container_id: &str) -> Terminated {
    Terminated {
        exit_code: 128,
        signal: None,
        reason: "StartError".into(),
        message,
        started_at: DateTime::UNIX_EPOCH,
        finished_at: Utc::now(),
        container_id: container_id.to_owned(),
        at: Instant::now(),
    }
}

fn assemble(
    node: &Node,
    pod: &Value,
    container: &Value,
    recipe: &ImageRecipe,
    sandbox: &Sandbox,
    target: Option<i32>,
    slot: &Slot,
) -> Result<ContainerConfig, String> {
    let lookup = NamespaceLookup { api: node.machine.api.as_ref(), namespace: object::namespace(pod) };
    let variables = env::resolve(pod, container, &sandbox.facts, &lookup)?;
    let user = security::user(pod, container, &recipe.user, security::primary_gid)?;
    let known = |name: &str| variables.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let args = arguments(container, recipe, known);
    let mounts = all_mounts(node, pod, container, recipe, sandbox, slot, known)?;
    let hostname = match object::bool_at(pod, "/spec/hostNetwork") {
        true => node.name.clone(),
        false => mounts::hostname(pod),
    };
    let mut environment = recipe.env.clone();
    environment.push(("HOSTNAME".into(), hostname.clone()));
    environment.push(("HOME".into(), if user.uid == 0 { "/root" } else { "/" }.into()));
    environment.extend(variables);
    let uid = object::uid(pod);
    Ok(ContainerConfig {
        id: format!("{uid}-{}-{}", slot.name, slot.restarts),
        cgroup: format!("{uid}/{}", slot.name),
        args,
        env: environment,
        working_dir: match object::str_at(container, "/workingDir") {
            "" if recipe.working_dir.as_os_str().is_empty() => "/".into(),
            "" => recipe.working_dir.clone(),
            directory => directory.into(),
        },
        user,
        hostname,
        netns: sandbox.attachment.netns.clone(),
        processes: match target {
            Some(process) => Processes::Of(process),
            None if object::bool_at(pod, "/spec/hostPID") => Processes::Host,
            None => Processes::Own,
        },
        mounts,
        read_only_root: security::has_read_only_root(container),
        no_new_privileges: security::forbids_new_privileges(container),
        privileged: security::is_privileged(container),
        capabilities: security::capabilities(container),
        seccomp: security::wants_seccomp(pod, container),
        sysctls: security::sysctls(pod),
        limits: limits(container),
        log_path: log_path(node, uid, &slot.name, slot.restarts),
    })
}

/// `command` replaces the entrypoint and with it the image's arguments; `args` replaces the arguments.
fn arguments(container: &Value, recipe: &ImageRecipe, known: impl Fn(&str) -> Option<String> + Copy) -> Vec<String> {
    let list = |pointer: &str| -> Vec<String> {
        let texts = object::list_at(container, pointer).iter().filter_map(Value::as_str);
        texts.map(|text| env::expand(text, known)).collect()
    };
    let (command, args) = (list("/command"), list("/args"));
    let tail = if args.is_empty() && command.is_empty() { recipe.cmd.clone() } else { args };
    let head = if command.is_empty() { recipe.entrypoint.clone() } else { command };
    head.into_iter().chain(tail).collect()
}

fn all_mounts(
    node: &Node,
    pod: &Value,
    container: &Value,
    recipe: &ImageRecipe,
    sandbox: &Sandbox,
    slot: &Slot,
    known: impl Fn(&str) -> Option<String> + Copy,
) -> Result<Vec<Mount>, String> {
    let directory = node.directory_of(object::uid(pod));
    let mut all: Vec<Mount> = mounts::of_image(recipe).collect();
    let own = mounts::of_pod(&directory.join("etc"), pod, sandbox.attachment.address, container);
    all.extend(own.map_err(|error| format!("writing the pod's files: {error}"))?);
    let source = termination_path(node, object::uid(pod), &slot.name, slot.restarts);
    let made = source.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&source, ""));
    made.and_then(|()| fs::set_permissions(&source, fs::Permissions::from_mode(0o666)))
        .map_err(|error| format!("making the termination message's file: {error}"))?;
    let target = match object::str_at(container, "/terminationMessagePath") {
        "" => "/dev/termination-log",
        path => path,
    };
    all.push(Mount { target: target.into(), kind: MountKind::Bind { source }, read_only: false });
    all.extend(mounts::of_volumes(container, &sandbox.volumes, |text| env::expand(text, known))?);
    Ok(all)
}

fn limits(container: &Value) -> Limits {
    let amount = |pointer: &str| Quantity::parse(object::str_at(container, pointer));
    let milli = |pointer: &str| amount(pointer).and_then(|quantity| i64::try_from(quantity.milli()).ok());
    Limits {
        memory_bytes: amount("/resources/limits/memory").and_then(|quantity| i64::try_from(quantity.value()).ok()),
        cpu_milli: milli("/resources/limits/cpu"),
        cpu_request_milli: milli("/resources/requests/cpu"),
    }
}

/// The log of one run of a container.
pub fn log_path(node: &Node, pod_uid: &str, container: &str, run: u32) -> PathBuf {
    node.directory_of(pod_uid).join("logs").join(container).join(format!("{run}.log"))
}

/// The termination message of one run of a container, where the kubelet has it: the mount tells whose a process is.
pub fn termination_path(node: &Node, pod_uid: &str, container: &str, run: u32) -> PathBuf {
    node.directory_of(pod_uid).join("containers").join(container).join(run.to_string())
}

fn is_installed(program: &str) -> bool {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]
        .iter()
        .any(|d| PathBuf::from(d).join(program).is_file())
}

/// 64 hexadecimal digits, as digests and container ids have.
fn hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn command_and_args_replace_what_the_image_says() {
        let recipe =
            ImageRecipe { entrypoint: vec!["entry".into()], cmd: vec!["default".into()], ..ImageRecipe::default() };
        for (container, expected) in [
            (json!({}), vec!["entry", "default"]),
            (json!({"args": ["$(A)"]}), vec!["entry", "1"]),
            (json!({"command": ["sh"]}), vec!["sh"]),
            (json!({"command": ["sh"], "args": ["-c"]}), vec!["sh", "-c"]),
        ] {
            assert_eq!(arguments(&container, &recipe, |_| Some("1".into())), expected, "{container}");
        }
    }
}
