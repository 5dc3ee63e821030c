//! Real containers under the host's OCI runtime. Skipped, and said so, where this process is not root.

use std::path::Path;
use std::time::Duration;

use embedded_apimachinery::kubelet::{ExecOptions, ExecOutput, LogOptions};
use embedded_node::runtime::{
    Capabilities, ContainerConfig, ContainerRuntime, Exit, Limits, Mount, MountKind, Processes, Runc, RuntimeError,
    User,
};
use futures::StreamExt;
use tokio::sync::watch;

const DEADLINE: Duration = Duration::from_secs(20);

fn runtime(directory: &Path) -> Option<Runc> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: containers need root");
        return None;
    }
    let cgroup = format!("gauntlet/test-{}", directory.file_name().unwrap().display());
    Some(Runc::new(directory.join("runtime"), &cgroup).unwrap())
}

fn container(directory: &Path, id: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        id: id.into(),
        cgroup: format!("pod-{id}/c"),
        args: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        working_dir: "/".into(),
        user: User { uid: 999, gid: 999, additional_gids: vec![2000] },
        hostname: "pod-name".into(),
        netns: "/proc/self/ns/net".into(),
        processes: Processes::Own,
        mounts: Vec::new(),
        read_only_root: true,
        no_new_privileges: true,
        privileged: false,
        capabilities: Capabilities { add: vec![], drop: vec!["ALL".into()] },
        seccomp: false,
        sysctls: Vec::new(),
        limits: Limits { memory_bytes: Some(64 << 20), cpu_milli: Some(500), cpu_request_milli: Some(100) },
        log_path: directory.join("logs").join(id),
    }
}

async fn ended(mut exit: watch::Receiver<Option<Exit>>) -> Exit {
    let ended = tokio::time::timeout(DEADLINE, exit.wait_for(Option::is_some)).await;
    ended.expect("the container ends in time").unwrap().clone().unwrap()
}

/// Runs a container to its end: how it ended, and what it printed.
async fn run(runtime: &Runc, config: &ContainerConfig) -> (Exit, String) {
    let started = runtime.start(config).await.unwrap();
    let exit = ended(started.exit.clone()).await;
    let options = LogOptions::default();
    let mut stream = runtime.logs(&config.log_path, &options).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = stream.next().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    runtime.remove(&config.id).await.unwrap();
    (exit, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn the_security_context_holds_inside() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let script = "id -u; id -G; hostname; grep -E 'CapBnd|NoNewPrivs' /proc/self/status | tr -d '\\t'; \
                  touch /x 2>/dev/null || echo read-only; cat /etc/shadow 2>/dev/null || echo hidden; exit 3";
    let (exit, text) = run(&runtime, &container(dir.path(), "secure", script)).await;
    assert_eq!(exit.code, 3);
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        ["999", "999 2000", "pod-name", "CapBnd:0000000000000000", "NoNewPrivs:1", "read-only", "hidden"]
    );
}

#[tokio::test]
async fn the_default_profile_refuses_system_calls_and_lets_programs_work() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let script = "grep Seccomp: /proc/self/status | tr -d '\\t'; unshare --user true 2>/dev/null || echo refused; ls / >/dev/null && echo works";
    for (seccomp, expected) in [(true, "Seccomp:2\nrefused\nworks\n"), (false, "Seccomp:0\nworks\n")] {
        let config = ContainerConfig { seccomp, ..container(dir.path(), &format!("seccomp-{seccomp}"), script) };
        assert_eq!(run(&runtime, &config).await.1, expected);
    }
}

#[tokio::test]
async fn signals_end_a_container_and_nothing_of_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let config = container(dir.path(), "killed", "sleep 1000");
    let started = runtime.start(&config).await.unwrap();
    runtime.signal("killed", nix::libc::SIGKILL).await.unwrap();
    let exit = ended(started.exit).await;
    assert_eq!((exit.code, exit.signal), (137, Some(nix::libc::SIGKILL)));
    runtime.signal("killed", nix::libc::SIGTERM).await.unwrap();
    runtime.remove("killed").await.unwrap();
    assert!(!dir.path().join("runtime/bundles/killed").exists());
    assert!(!dir.path().join("runtime/state/killed").exists());
}

#[tokio::test]
async fn volumes_and_memory_file_systems_are_mounted_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let source = dir.path().join("volume");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "content\n").unwrap();
    let mut config = container(
        dir.path(),
        "mounts",
        "cat /data/file; touch /data/new 2>/dev/null || echo no; touch /mem/x && echo yes",
    );
    config.mounts = vec![
        Mount { target: "/data".into(), kind: MountKind::Bind { source }, read_only: true },
        Mount {
            target: "/mem".into(),
            kind: MountKind::Tmpfs { size_bytes: Some(1 << 20), mode: 0o777 },
            read_only: false,
        },
    ];
    let (_, text) = run(&runtime, &config).await;
    assert_eq!(text, "content\nno\nyes\n");
}

#[tokio::test]
async fn commands_run_inside_with_their_output_and_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let config = container(dir.path(), "exec", "exec sleep 1000");
    let started = runtime.start(&config).await.unwrap();
    let command = ["sh", "-c", "read line; echo got $line; id -u; echo oops >&2; exit 7"].map(str::to_owned);
    let options =
        ExecOptions { command: command.to_vec(), stdin: true, stdout: true, stderr: true, ..ExecOptions::default() };
    let mut session = runtime.exec("exec", &options).await.unwrap();
    session.stdin.take().unwrap().send("hello\n".into()).await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(output) = session.output.recv().await {
        match output {
            ExecOutput::Stdout(bytes) => out.extend_from_slice(&bytes),
            ExecOutput::Stderr(bytes) => err.extend_from_slice(&bytes),
        }
    }
    assert_eq!((&out[..], &err[..]), (&b"got hello\n999\n"[..], &b"oops\n"[..]));
    assert_eq!(session.exit.await.unwrap().unwrap(), 7);
    runtime.signal("exec", nix::libc::SIGKILL).await.unwrap();
    ended(started.exit).await;
    runtime.remove("exec").await.unwrap();
    assert!(matches!(runtime.exec("exec", &options).await, Err(RuntimeError::NotRunning(_))));
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let mut config = container(dir.path(), "absent", "");
    config.args = vec!["no-such-program".into()];
    let error = runtime.start(&config).await.unwrap_err().to_string();
    assert!(error.contains("no-such-program"), "{error}");
    assert!(!dir.path().join("runtime/bundles/absent").exists());
}

/// What a command prints and how it ends.
async fn exec(runtime: &Runc, id: &str, script: &str, tty: bool) -> (String, Result<i32, String>) {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let options = ExecOptions { command, tty, stdout: true, stderr: true, ..ExecOptions::default() };
    let mut session = runtime.exec(id, &options).await.unwrap();
    let mut text = Vec::new();
    while let Some(ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes)) = session.output.recv().await {
        text.extend_from_slice(&bytes);
    }
    (String::from_utf8(text).unwrap(), session.exit.await.unwrap().map_err(|status| status.message))
}

#[tokio::test]
async fn commands_are_as_restricted_as_their_container() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let root = User { uid: 0, gid: 0, additional_gids: vec![7] };
    for (id, user, held) in
        [("user", User { uid: 999, gid: 998, additional_gids: vec![2000] }, "0"), ("root", root, "21")]
    {
        let mut config = container(dir.path(), id, "exec sleep 1000");
        config.user = user;
        config.capabilities.add = vec!["CHOWN".into(), "KILL".into()];
        let started = runtime.start(&config).await.unwrap();
        let script = "grep -E 'Cap|NoNewPrivs|^[UG]id|Groups' /proc/self/status; cat /proc/1/comm; hostname; pwd; \
                      grep -c gauntlet/test- /proc/self/cgroup; touch /x 2>/dev/null || echo read-only";
        let (text, exit) = exec(&runtime, id, script, false).await;
        assert_eq!(exit, Ok(0));
        let User { uid, gid, additional_gids } = &config.user;
        for line in [
            format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"),
            format!("Gid:\t{gid}\t{gid}\t{gid}\t{gid}"),
            format!("Groups:\t{} ", additional_gids[0]),
            format!("CapPrm:\t{held:0>16}"),
            format!("CapEff:\t{held:0>16}"),
            "CapBnd:\t0000000000000021".into(),
            "CapInh:\t0000000000000000".into(),
            "CapAmb:\t0000000000000000".into(),
            "NoNewPrivs:\t1".into(),
            "sleep".into(),
            "pod-name".into(),
            "/".into(),
            "read-only".into(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(!text.lines().any(|line| line == "0"), "no cgroup of the container in\n{text}");
        runtime.signal(id, nix::libc::SIGKILL).await.unwrap();
        ended(started.exit).await;
        runtime.remove(id).await.unwrap();
    }
}

#[tokio::test]
async fn commands_get_a_terminal_when_they_ask_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let config = container(dir.path(), "tty", "exec sleep 1000");
    let started = runtime.start(&config).await.unwrap();
    let script = "test -t 0 && test -t 1 && echo terminal; : < /dev/tty && echo controlling";
    let (text, exit) = exec(&runtime, "tty", script, true).await;
    assert_eq!((text.as_str(), exit), ("terminal\r\ncontrolling\r\n", Ok(0)));
    let (text, _) = exec(&runtime, "tty", "test -t 0 || echo none", false).await;
    assert_eq!(text, "none\n");
    runtime.signal("tty", nix::libc::SIGKILL).await.unwrap();
    ended(started.exit).await;
    runtime.remove("tty").await.unwrap();
}

#[tokio::test]
async fn commands_that_cannot_start_say_why_and_abandoned_ones_end() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let config = container(dir.path(), "refused", "exec sleep 1000");
    let started = runtime.start(&config).await.unwrap();
    let options = |command: &[&str]| ExecOptions {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        stdout: true,
        ..ExecOptions::default()
    };
    for (command, why) in [
        (["nosuch"].as_slice(), "exec: \"nosuch\": executable file not found in $PATH"),
        (&["/etc"], "exec: \"/etc\": permission denied"),
        (&[], "no command was given"),
    ] {
        let session = runtime.exec("refused", &options(command)).await.unwrap();
        let refusal = session.exit.await.unwrap().unwrap_err().message;
        assert!(refusal.contains(why), "{refusal}");
    }
    let mut abandoned = runtime.exec("refused", &options(&["sh", "-c", "echo $$; exec sleep 1000"])).await.unwrap();
    let Some(ExecOutput::Stdout(pid)) = abandoned.output.recv().await else { panic!("no process id") };
    drop(abandoned);
    let gone = format!("while kill -0 {}; do sleep 0.01; done", std::str::from_utf8(&pid).unwrap().trim());
    let waited = tokio::time::timeout(DEADLINE, exec(&runtime, "refused", &gone, false)).await;
    assert_eq!(waited.expect("an abandoned command ends").1, Ok(0));
    runtime.signal("refused", nix::libc::SIGKILL).await.unwrap();
    ended(started.exit).await;
    runtime.remove("refused").await.unwrap();
}

/// A server's container with a volume of its own at `/data`; nothing where the host lacks the program.
fn server(directory: &Path, program: &str, arguments: &[&str]) -> Option<ContainerConfig> {
    if !["/usr/local/bin", "/usr/bin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join(program).exists()) {
        eprintln!("skipped: {program} is not installed");
        return None;
    }
    let source = directory.join("data");
    std::fs::create_dir(&source).unwrap();
    std::os::unix::fs::chown(&source, Some(999), Some(999)).unwrap();
    let mut config = container(directory, program, "");
    config.env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/usr/sbin:/bin".into())];
    config.args = [program].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    config.mounts = vec![Mount { target: "/data".into(), kind: MountKind::Bind { source }, read_only: false }];
    config.seccomp = true;
    Some(config)
}

#[tokio::test]
async fn redis_works_without_privileges_on_a_read_only_root() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let arguments = ["--port", "0", "--unixsocket", "/data/socket", "--dir", "/data", "--appendonly", "yes"];
    let Some(config) = server(dir.path(), "redis-server", &arguments) else { return };
    let started = runtime.start(&config).await.unwrap();
    let script = "until redis-cli -s /data/socket ping >/dev/null 2>&1; do sleep 0.02; done; \
                  redis-cli -s /data/socket set a b; redis-cli -s /data/socket get a; \
                  grep -E '^(Uid|CapBnd|NoNewPrivs|Seccomp):' /proc/1/status | tr -s '\\t' ' '";
    let answer = tokio::time::timeout(DEADLINE, exec(&runtime, "redis-server", script, false)).await;
    let (text, exit) = answer.expect("redis answers in time");
    assert_eq!(exit, Ok(0));
    let expected = ["OK", "b", "Uid: 999 999 999 999", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    runtime.signal("redis-server", nix::libc::SIGTERM).await.unwrap();
    assert_eq!(ended(started.exit).await.code, 0, "redis obeys SIGTERM");
    assert!(dir.path().join("data/appendonlydir").is_dir());
    runtime.remove("redis-server").await.unwrap();
}

#[tokio::test]
async fn jetstream_works_without_privileges_on_a_read_only_root() {
    let dir = tempfile::tempdir().unwrap();
    let Some(runtime) = runtime(dir.path()) else { return };
    let arguments = ["--addr", "127.0.0.1", "--port", "-1", "-js", "--store_dir", "/data"];
    let Some(config) = server(dir.path(), "nats-server", &arguments) else { return };
    let started = runtime.start(&config).await.unwrap();
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut log = runtime.logs(&config.log_path, &options).await.unwrap();
    let mut text = Vec::new();
    let ready = async {
        while !String::from_utf8_lossy(&text).contains("Server is ready") {
            text.extend_from_slice(&log.next().await.expect("the server goes on printing").unwrap());
        }
    };
    tokio::time::timeout(DEADLINE, ready).await.expect("the server is ready in time");
    assert!(dir.path().join("data/jetstream").is_dir());
    runtime.signal("nats-server", nix::libc::SIGTERM).await.unwrap();
    ended(started.exit).await;
    runtime.remove("nats-server").await.unwrap();
}
