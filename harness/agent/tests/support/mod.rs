//! Real servers on loopback for the agent's tests: on free ports, in temporary folders, ended with the test whatever
//! comes.

#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod agent;
pub mod contained;
pub mod nats;
pub mod redis;

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gauntlet_cluster::host::{self, programs, programs::Program};
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Whether the programs are installed, after installing what a run would install. Says so where they are not, and fails
/// where `GAUNTLET_REQUIRE_HOST` is set.
pub fn have(programs: &[&str]) -> bool {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install);
    let missing: Vec<_> = programs.iter().filter(|program| programs::find(program).is_none()).collect();
    assert!(missing.is_empty() || std::env::var_os("GAUNTLET_REQUIRE_HOST").is_none(), "not installed: {missing:?}");
    if !missing.is_empty() {
        eprintln!("SKIPPED: {missing:?} are not installed");
    }
    missing.is_empty()
}

/// On a thread of its own: the test may be within a runtime.
fn install() {
    let stores: Vec<Program> = programs::REDIS.into_iter().chain(programs::NATS).collect();
    let installing = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(host::ensure_programs(&stores, false))
    });
    if let Err(trouble) = installing.join().unwrap() {
        eprintln!("{trouble}");
    }
}

/// The ports that tests hand out: below those that the kernel gives to outgoing connections (32768 and up by default), one of
/// which would otherwise take a port between its choice and its use.
const PORTS: std::ops::Range<u16> = 12_000..28_000;

/// A port that nobody listens on at this moment and that this process gives to nobody else.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let size = u32::from(PORTS.end - PORTS.start);
    // Test programs that run side by side begin far from each other.
    let first = std::process::id().wrapping_mul(257) % size;
    (0..size)
        .map(|_| PORTS.start + ((first + GIVEN.fetch_add(1, Ordering::Relaxed)) % size) as u16)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}

/// A process that does not outlive its test.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it with its output in a log within `folder`. It dies with the thread that started it, too.
    pub fn start(name: &str, folder: &Path, program: &str, args: &[String], env: &[(String, String)]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(args)
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} could not be started: {error}"));
        Self { child, name: name.into(), log }
    }

    /// Of the program itself: what starts it puts it in its own place.
    pub fn id(&self) -> i32 {
        self.child.id() as i32
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// TERM; the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap().code()
    }

    /// Stops it in its tracks: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.id()), signal).unwrap();
    }

    /// Waits for its end.
    pub fn exit_code(&mut self) -> Option<i32> {
        await_that(&format!("{} ends", self.name), Duration::from_secs(20), || {
            self.child.try_wait().unwrap().map(|status| status.code()).ok_or("it runs".into())
        })
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn assert_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{} ended with {ended:?}:\n{}", self.name, self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().filter(|line| !line.starts_with('{')).collect();
            eprintln!("--- {} ---\n{}", self.name, tail[tail.len().saturating_sub(15)..].join("\n"));
        }
    }
}

/// A child that does not outlive its test, where [`Process`] does not fit.
pub struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until there is an answer. Panics with what was last seen when the deadline passes.
pub fn await_that<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + deadline;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) if Instant::now() >= until => {
                panic!("awaited in vain for {deadline:?}: {what}; last seen: {last}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// A CA and identities for servers and clients, as PEM files.
pub struct Pki {
    folder: TempDir,
}

impl Pki {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.distinguished_name.push(DnType::CommonName, "test CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        std::fs::write(folder.path().join("ca.crt"), pem).unwrap();
        // The address is there for redis-cli, which does not verify names, and for routes between NATS servers.
        for (name, names) in [("server", vec!["localhost".into(), "127.0.0.1".into()]), ("client", vec![])] {
            let key = KeyPair::generate().unwrap();
            let mut certificate = CertificateParams::new(names).unwrap();
            certificate.distinguished_name.push(DnType::CommonName, name);
            let certificate = certificate.signed_by(&key, &issuer).unwrap();
            std::fs::write(folder.path().join(format!("{name}.crt")), certificate.pem()).unwrap();
            std::fs::write(folder.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { folder }
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The client's side, as environment for the agent.
    pub fn env(&self, prefix: &str) -> Vec<(String, String)> {
        [("CA", "ca.crt"), ("CERT", "client.crt"), ("KEY", "client.key")]
            .into_iter()
            .map(|(end, file)| (format!("{prefix}_TLS_{end}"), self.file(file)))
            .collect()
    }
}

pub fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// The answer to a plain GET on loopback, head and all.
pub fn http_get(port: u16, path: &str) -> std::io::Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
