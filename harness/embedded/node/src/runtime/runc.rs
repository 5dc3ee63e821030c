//! Containers by `runc` or `crun`.
//!
//! The runtime program starts a container and goes; the container's first process then is a child of ours, because this
//! process collects orphans. Signals, waiting and removal need no program.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use embedded_apimachinery::kubelet::{ExecOptions, ExecSession, LogOptions, LogStream};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::api::{ContainerRuntime, RuntimeError, Started};
use super::cgroup::Cgroups;
use super::config::{ContainerConfig, Exit};
use super::log::{self, Logs};
use super::{exec, rootfs, spec};

/// Programs that can run containers, the preferred one first: `crun` refuses hosts that mix cgroup versions.
const PROGRAMS: [&str; 2] = ["runc", "crun"];

/// How long a container's output may stay open after its end: only a process that escaped it could hold it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs containers of one cluster.
pub struct Runc {
    program: PathBuf,
    /// Bundles and the runtime program's own state.
    directory: PathBuf,
    cgroups: Option<Cgroups>,
    logs: Logs,
    containers: Mutex<HashMap<String, Container>>,
}

struct Container {
    /// The first process: never another one that got its id.
    handle: Arc<OwnedFd>,
    config: Arc<ContainerConfig>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Runc {
    /// `directory` holds what containers need on disk; `cgroup` is the cluster's cgroup, as in `gauntlet/<cluster>`.
    pub fn new(directory: PathBuf, cgroup: &str) -> Result<Self, RuntimeError> {
        let program = PROGRAMS.iter().find_map(|name| find_program(name)).ok_or_else(|| RuntimeError::CannotRun {
            message: format!("no container runtime: neither of {} is installed", PROGRAMS.join(", ")),
        })?;
        fs::create_dir_all(&directory).map_err(RuntimeError::io(format!("making {}", directory.display())))?;
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|errno| RuntimeError::io("becoming the parent of containers")(errno.into()))?;
        let cgroups = Cgroups::detect(cgroup);
        if cgroups.is_none() {
            tracing::warn!("cgroups cannot be written here: containers run without limits of CPU and memory");
        }
        Ok(Self { program, directory, cgroups, logs: Logs::default(), containers: Mutex::default() })
    }

    /// The runtime as nodes report it: `runc://1.1.5`.
    pub fn version(&self) -> String {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = std::process::Command::new(&self.program).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let version = text.lines().next().and_then(|line| line.split_whitespace().nth(2)).unwrap_or("unknown");
        format!("{name}://{version}")
    }

    fn bundle(&self, id: &str) -> PathBuf {
        self.directory.join("bundles").join(id)
    }

    fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.state()).kill_on_drop(true);
        command
    }

    /// The bundle: a root file system and `config.json`.
    fn prepare(&self, config: &ContainerConfig) -> std::io::Result<PathBuf> {
        let bundle = self.bundle(&config.id);
        let root = bundle.join("rootfs");
        fs::create_dir_all(&root)?;
        let system = rootfs::build(&root)?;
        let cgroup = self.cgroups.as_ref().map(|cgroups| cgroups.path(&config.cgroup));
        let spec = spec::render(config, &system, cgroup.as_deref());
        fs::write(bundle.join("config.json"), spec.to_string())?;
        if let Some(parent) = config.log_path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(bundle)
    }

    /// Starts the container; returns its first process and the reading ends of its output.
    async fn launch(&self, config: &ContainerConfig, bundle: &Path) -> Result<(i32, OwnedFd, OwnedFd), RuntimeError> {
        let io = || RuntimeError::io(format!("starting container {}", config.id));
        let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|errno| io()(errno.into()));
        let ((out, out_write), (err, err_write)) = (pipe()?, pipe()?);
        let (pid_file, log) = (bundle.join("pid"), bundle.join("runtime.log"));
        let mut command = self.command();
        command.arg("--log").arg(&log).args(["run", "--detach", "--bundle"]).arg(bundle);
        command.arg("--pid-file").arg(&pid_file).arg(&config.id);
        command.stdin(Stdio::null()).stdout(Stdio::from(out_write)).stderr(Stdio::from(err_write));
        let status = command.spawn().map_err(io())?.wait().await.map_err(io())?;
        drop(command);
        if !status.success() {
            return Err(RuntimeError::CannotRun { message: refusal(&log) });
        }
        let pid = fs::read_to_string(&pid_file).map_err(io())?;
        let pid = pid.trim().parse().map_err(|error| io()(std::io::Error::other(error)))?;
        Ok((pid, out, err))
    }

    fn copy_output(&self, path: &Path, out: OwnedFd, err: OwnedFd) -> std::io::Result<JoinHandle<()>> {
        let (out, err) = (pipe::Receiver::from_owned_fd(out)?, pipe::Receiver::from_owned_fd(err)?);
        Ok(tokio::spawn(self.logs.create(path)?.copy(out, err)))
    }

    /// Does to a container's cgroup what may block.
    async fn with_cgroup(
        &self,
        id: &str,
        doing: &str,
        work: fn(&Cgroups, &str) -> std::io::Result<()>,
    ) -> Result<(), RuntimeError> {
        let Some(config) = self.containers.lock().get(id).map(|container| container.config.clone()) else {
            return Ok(());
        };
        let error = RuntimeError::io(format!("{doing} container {id}"));
        let Some(cgroups) = self.cgroups.clone() else {
            return Err(error(std::io::Error::other("control groups cannot be written on this host")));
        };
        let done = tokio::task::spawn_blocking(move || work(&cgroups, &config.cgroup)).await;
        done.map_err(std::io::Error::other).flatten().map_err(error)
    }

    /// Tells of the container's end once its last words are in its log.
    fn wait(&self, config: &ContainerConfig, pid: i32, output: JoinHandle<()>) -> watch::Receiver<Option<Exit>> {
        let (sender, receiver) = watch::channel(None);
        let (cgroups, cgroup) = (self.cgroups.clone(), config.cgroup.clone());
        let (reaped, end) = oneshot::channel();
        let wait = move || {
            let _ = reaped.send((reap(pid), SystemTime::now()));
        };
        let name = format!("wait-{pid}");
        if let Err(error) = std::thread::Builder::new().name(name).stack_size(128 << 10).spawn(wait) {
            tracing::error!("no thread to wait for a container: {error}");
        }
        tokio::spawn(async move {
            // Without the thread above nobody can tell how it ends.
            let Ok(((code, signal), at)) = end.await else { return };
            let _ = tokio::time::timeout(LAST_WORDS, output).await;
            let oom_killed = cgroups.is_some_and(|cgroups| cgroups.was_oom_killed(&cgroup));
            sender.send_replace(Some(Exit { code, signal, oom_killed, at }));
        });
        receiver
    }
}

impl Drop for Runc {
    /// Containers do not outlive who could stop them.
    fn drop(&mut self) {
        for container in self.containers.lock().values() {
            let _ = rustix::process::pidfd_send_signal(&container.handle, rustix::process::Signal::KILL);
        }
        if let Some(cgroups) = &self.cgroups {
            cgroups.remove_own();
        }
    }
}

#[async_trait]
impl ContainerRuntime for Runc {
    async fn start(&self, config: &ContainerConfig) -> Result<Started, RuntimeError> {
        let bundle = self.prepare(config).map_err(RuntimeError::io(format!("preparing container {}", config.id)))?;
        let (pid, out, err) = match self.launch(config, &bundle).await {
            Ok(launched) => launched,
            Err(error) => {
                self.remove(&config.id).await?;
                // The runtime may have made it already.
                self.cgroups.iter().for_each(|cgroups| cgroups.remove(&config.cgroup));
                return Err(error);
            }
        };
        let output = self.copy_output(&config.log_path, out, err);
        let output = output.map_err(RuntimeError::io(format!("reading the output of container {}", config.id)))?;
        let handle = handle_of(pid).map_err(RuntimeError::io(format!("watching process {pid}")))?;
        let exit = self.wait(config, pid, output);
        let config = Arc::new(config.clone());
        let container = Container { handle: Arc::new(handle), config: config.clone(), exit: exit.clone() };
        self.containers.lock().insert(config.id.clone(), container);
        Ok(Started { pid, exit })
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        let doing = || RuntimeError::io(format!("signalling container {id}"));
        let signal = rustix::process::Signal::from_named_raw(signal);
        let signal = signal.ok_or_else(|| doing()(std::io::ErrorKind::InvalidInput.into()))?;
        let Some(handle) = self.containers.lock().get(id).map(|container| container.handle.clone()) else {
            return Ok(());
        };
        match rustix::process::pidfd_send_signal(&handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(doing()(errno.into())),
        }
    }

    fn ids(&self) -> Vec<String> {
        self.containers.lock().keys().cloned().collect()
    }

    async fn freeze(&self, id: &str) -> Result<(), RuntimeError> {
        self.with_cgroup(id, "freezing", Cgroups::freeze).await
    }

    async fn thaw(&self, id: &str) -> Result<(), RuntimeError> {
        self.with_cgroup(id, "thawing", Cgroups::thaw).await
    }

    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let container = self.containers.lock().remove(id);
        for directory in [self.state().join(id), self.bundle(id)] {
            match tokio::fs::remove_dir_all(&directory).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RuntimeError::io(format!("removing {}", directory.display()))(error));
                }
                _ => {}
            }
        }
        if let (Some(cgroups), Some(container)) = (&self.cgroups, container) {
            cgroups.remove(&container.config.cgroup);
        }
        Ok(())
    }

    async fn exec(&self, id: &str, options: &ExecOptions) -> Result<ExecSession, RuntimeError> {
        let (handle, config) = {
            let containers = self.containers.lock();
            let running = containers.get(id).filter(|c| c.exit.borrow().is_none());
            let running = running.ok_or_else(|| RuntimeError::NotRunning(id.to_owned()))?;
            (running.handle.clone(), running.config.clone())
        };
        let cgroups = self.cgroups.as_ref().map(|cgroups| cgroups.procs(&config.cgroup)).unwrap_or_default();
        Ok(exec::start(exec::Place { handle, config, cgroups }, options).await)
    }

    async fn logs(&self, path: &Path, options: &LogOptions) -> Result<LogStream, RuntimeError> {
        let followed = if options.follow { self.logs.follow(path) } else { None };
        log::read(path, options, followed).map_err(RuntimeError::io(format!("reading {}", path.display())))
    }
}

/// `pid` is a child that nobody has waited for yet, so the id is still its own.
fn handle_of(pid: i32) -> std::io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Blocks until the process has ended. A shell's code, and the signal if one ended it.
fn reap(pid: i32) -> (i32, Option<i32>) {
    loop {
        return match waitpid(Pid::from_raw(pid), None) {
            Ok(WaitStatus::Exited(_, code)) => (code, None),
            Ok(WaitStatus::Signaled(_, signal, _)) => (128 + signal as i32, Some(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => continue,
            // Somebody else collected it: how it ended is lost.
            Err(_) => (255, None),
        };
    }
}

/// The runtime program's last words, without its own prefixes.
fn refusal(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find_map(|line| {
        let message = line.split_once("msg=\"")?.1.rsplit_once('"')?.0;
        Some(message.replace("\\\"", "\"").replace("\\\\", "\\"))
    });
    let words = last.unwrap_or_else(|| text.lines().last().unwrap_or("the runtime gave no reason").to_owned());
    format!("failed to create containerd task: failed to create shim task: OCI runtime create failed: {words}: unknown")
}

/// A program in `PATH` or in the directories for administrators.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(administrators).map(|directory| directory.join(name)).find(|p| p.is_file())
}
