//! The OCI runtime specification of a container: a pure function of its configuration.
//!
//! Defaults (capabilities, masked paths, devices' rules, mounts) are those that containerd gives to containers.

use std::collections::BTreeMap;

use rustix::thread::CapabilitySet;
use serde_json::{Value, json};

use super::config::{Capabilities, ContainerConfig, Limits, Mount, MountKind, Processes};

/// containerd's default set.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What `ALL` adds: every capability of Linux 5.9 and later.
const FURTHER_CAPABILITIES: [&str; 27] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "NET_BROADCAST",
    "PERFMON",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// System calls that containers without `CAP_SYS_ADMIN` are refused: they load code into the kernel, change mounts,
/// namespaces, clocks or swap, or read other processes' keys. The profile is shorter than containerd's, which names what
/// is allowed and would have to follow every kernel.
const REFUSED_SYSTEM_CALLS: [&str; 29] = [
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "init_module",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
];

const EPERM: i32 = 1;

/// `system_mounts` are those of the root file system (the host's programs); `cgroup` is the absolute cgroup path, `None`
/// where the host's cgroups cannot be written.
pub fn render(config: &ContainerConfig, system_mounts: &[Mount], cgroup: Option<&str>) -> Value {
    let mut mounts = standard_mounts(config.privileged);
    mounts.extend(system_mounts.iter().chain(&config.mounts).map(mount));
    let mut linux = json!({
        "namespaces": namespaces(config),
        "maskedPaths": if config.privileged { json!([]) } else { json!(MASKED) },
        "readonlyPaths": if config.privileged { json!([]) } else { json!(READ_ONLY) },
        "resources": resources(&config.limits, config.privileged),
    });
    if let Some(path) = cgroup {
        linux["cgroupsPath"] = path.into();
    }
    if !config.sysctls.is_empty() {
        linux["sysctl"] = config.sysctls.iter().cloned().collect::<BTreeMap<_, _>>().into_iter().collect();
    }
    let administers = capabilities(config).iter().any(|name| name == "CAP_SYS_ADMIN");
    if config.seccomp && !administers {
        linux["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": REFUSED_SYSTEM_CALLS, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}],
        });
    }
    json!({
        "ociVersion": "1.0.2",
        "process": process(config, &config.args),
        "root": {"path": "rootfs", "readonly": config.read_only_root},
        "hostname": config.hostname,
        "mounts": mounts,
        "linux": linux,
    })
}

fn process(config: &ContainerConfig, args: &[String]) -> Value {
    let mut env: Vec<(&str, &str)> = Vec::new();
    for (key, value) in &config.env {
        env.retain(|(k, _)| k != key);
        env.push((key, value));
    }
    let env: Vec<String> = env.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let bounding = capabilities(config);
    // Only root starts with its capabilities in effect; the kernel clears them for others on exec.
    let effective = if config.user.uid == 0 { bounding.clone() } else { Vec::new() };
    json!({
        "terminal": false,
        "user": {
            "uid": config.user.uid,
            "gid": config.user.gid,
            "additionalGids": config.user.additional_gids,
        },
        "args": args,
        "env": env,
        "cwd": config.working_dir,
        "capabilities": {
            "bounding": bounding, "effective": effective, "permitted": effective, "inheritable": [], "ambient": [],
        },
        "noNewPrivileges": config.no_new_privileges && !config.privileged,
        "oomScoreAdj": 0,
    })
}

/// The bounding set of a container, sorted, with the `CAP_` prefix.
pub fn capabilities(config: &ContainerConfig) -> Vec<String> {
    let own = rustix::thread::capabilities(None).map(|sets| sets.permitted);
    let held = |name: &str| match (&own, CapabilitySet::from_name(name)) {
        (Ok(own), Some(one)) => own.contains(one),
        _ => true,
    };
    bounding_set(&config.capabilities, config.privileged, held)
}

/// All of them are those that this process has to give, as with containerd.
fn bounding_set(wanted: &Capabilities, privileged: bool, held: impl Fn(&str) -> bool) -> Vec<String> {
    let all = || DEFAULT_CAPABILITIES.into_iter().chain(FURTHER_CAPABILITIES).map(str::to_owned);
    let plain = |name: &String| name.to_uppercase().trim_start_matches("CAP_").to_owned();
    let mut set: Vec<String> = if privileged || wanted.add.iter().any(|name| plain(name) == "ALL") {
        all().filter(|name| held(name)).collect()
    } else {
        DEFAULT_CAPABILITIES.into_iter().map(str::to_owned).collect()
    };
    if wanted.drop.iter().any(|name| plain(name) == "ALL") {
        set.clear();
    }
    set.retain(|name| !wanted.drop.iter().any(|dropped| plain(dropped) == *name));
    set.extend(wanted.add.iter().map(plain).filter(|name| all().any(|known| known == *name)));
    set.sort();
    set.dedup();
    set.into_iter().map(|name| format!("CAP_{name}")).collect()
}

fn namespaces(config: &ContainerConfig) -> Value {
    let pid = match config.processes {
        Processes::Of(pid) => Some(json!({"type": "pid", "path": format!("/proc/{pid}/ns/pid")})),
        Processes::Own => Some(json!({"type": "pid"})),
        Processes::Host => None,
    };
    let network = json!({"type": "network", "path": config.netns});
    let others = ["ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    pid.into_iter().chain([network]).chain(others).collect()
}

fn standard_mounts(privileged: bool) -> Vec<Value> {
    let sys = if privileged { "rw" } else { "ro" };
    vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
        json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", sys]}),
    ]
}

fn mount(mount: &Mount) -> Value {
    let access = if mount.read_only { "ro" } else { "rw" };
    match &mount.kind {
        MountKind::Bind { source } => json!({"destination": mount.target, "type": "bind", "source": source,
            "options": ["rbind", "rprivate", access]}),
        MountKind::Tmpfs { size_bytes, mode } => {
            let mut options = vec!["nosuid".to_owned(), "nodev".into(), access.into(), format!("mode={mode:o}")];
            options.extend(size_bytes.map(|bytes| format!("size={bytes}")));
            json!({"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options})
        }
    }
}

/// CPU shares and quota as the kubelet reckons them (pkg/kubelet/cm/helpers_linux.go): a period of 100 ms, at least 2
/// shares and 1 ms of quota.
fn resources(limits: &Limits, privileged: bool) -> Value {
    let mut resources = json!({"devices": [{"allow": privileged, "access": "rwm"}]});
    if let Some(bytes) = limits.memory_bytes {
        resources["memory"] = json!({"limit": bytes, "swap": bytes});
    }
    let shares = limits.cpu_request_milli.or(limits.cpu_milli).map_or(2, |milli| (milli * 1024 / 1000).max(2));
    resources["cpu"] = json!({"shares": shares});
    if let Some(milli) = limits.cpu_milli {
        resources["cpu"]["period"] = 100_000.into();
        resources["cpu"]["quota"] = (milli * 100).max(1000).into();
    }
    resources
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::runtime::config::User;

    pub(crate) fn config() -> ContainerConfig {
        ContainerConfig {
            id: "c".into(),
            cgroup: "pod/c".into(),
            args: vec!["sleep".into(), "1".into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            working_dir: "/".into(),
            user: User { uid: 999, gid: 999, additional_gids: vec![5] },
            hostname: "pod".into(),
            netns: "/proc/self/ns/net".into(),
            processes: Processes::Own,
            mounts: Vec::new(),
            read_only_root: true,
            no_new_privileges: true,
            privileged: false,
            capabilities: Capabilities::default(),
            seccomp: false,
            sysctls: Vec::new(),
            limits: Limits::default(),
            log_path: "/dev/null".into(),
        }
    }

    fn bounding(add: &[&str], drop: &[&str]) -> Vec<String> {
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        bounding_set(&Capabilities { add: names(add), drop: names(drop) }, false, |_| true)
    }

    #[test]
    fn dropping_all_leaves_only_what_is_added() {
        assert!(bounding(&[], &["ALL"]).is_empty());
        assert_eq!(bounding(&["NET_BIND_SERVICE"], &["ALL"]), ["CAP_NET_BIND_SERVICE"]);
        assert_eq!(bounding(&[], &[]).len(), 14);
        assert_eq!(bounding(&["ALL"], &[]).len(), 41);
        assert!(!bounding(&[], &["net_raw"]).contains(&"CAP_NET_RAW".to_owned()));
    }

    #[test]
    fn a_container_sees_its_own_processes_or_anothers_or_all() {
        let of = |processes| namespaces(&ContainerConfig { processes, ..config() });
        assert_eq!(of(Processes::Own)[0], json!({"type": "pid"}));
        assert_eq!(of(Processes::Of(7))[0], json!({"type": "pid", "path": "/proc/7/ns/pid"}));
        let of_all = of(Processes::Host);
        assert!(of_all.as_array().unwrap().iter().all(|namespace| namespace["type"] != "pid"), "{of_all}");
    }

    #[test]
    fn the_privileged_get_all_that_there_is_to_give() {
        let set = bounding_set(&Capabilities::default(), true, |name| name != "SYS_RESOURCE");
        assert_eq!(set.len(), 40);
        assert!(!set.contains(&"CAP_SYS_RESOURCE".to_owned()));
    }

    #[test]
    fn users_other_than_root_start_without_effective_capabilities() {
        let process = process(&config(), &["true".into()]);
        assert_eq!(process["capabilities"]["effective"], json!([]));
        assert_eq!(process["noNewPrivileges"], true);
    }

    #[test]
    fn system_calls_are_refused_to_those_who_do_not_administer() {
        let render = |seccomp, privileged| {
            render(&ContainerConfig { seccomp, privileged, ..config() }, &[], None)["linux"].get("seccomp").is_some()
        };
        assert_eq!([render(true, false), render(false, false), render(true, true)], [true, false, false]);
    }

    #[test]
    fn later_environment_entries_win() {
        let mut config = config();
        config.env = vec![("A".into(), "1".into()), ("B".into(), "2".into()), ("A".into(), "3".into())];
        assert_eq!(process(&config, &[])["env"], json!(["B=2", "A=3"]));
    }

    #[test]
    fn limits_become_quota_and_memory() {
        let limits = Limits { memory_bytes: Some(1 << 20), cpu_milli: Some(250), cpu_request_milli: Some(100) };
        let resources = resources(&limits, false);
        assert_eq!(resources["cpu"], json!({"shares": 102, "period": 100_000, "quota": 25_000}));
        assert_eq!(resources["memory"], json!({"limit": 1 << 20, "swap": 1 << 20}));
    }

    #[test]
    fn mounts_follow_the_systems_in_order() {
        let mut config = config();
        let bind = MountKind::Bind { source: "/data".into() };
        config.mounts = vec![Mount { target: "/data".into(), kind: bind, read_only: false }];
        let system = Mount { target: "/usr".into(), kind: MountKind::Bind { source: "/usr".into() }, read_only: true };
        let spec = render(&config, &[system], None);
        let targets: Vec<_> =
            spec["mounts"].as_array().unwrap().iter().map(|m| m["destination"].as_str().unwrap()).collect();
        assert_eq!(&targets[targets.len() - 2..], ["/usr", "/data"]);
        assert!(spec["linux"].get("cgroupsPath").is_none());
    }
}
