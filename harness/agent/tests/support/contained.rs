//! Servers in containers of Docker's engine, in images made of what this machine's packages installed: no registry is
//! needed. Containers and images go with the test.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gauntlet_cluster::host::programs;
use testcontainers::core::WaitFor;
use testcontainers::runners::{AsyncBuilder, AsyncRunner};
use testcontainers::{ContainerAsync, GenericBuildableImage, GenericImage, Image, ImageExt};
use tokio::runtime::Runtime;

use super::{await_that, free_port, have, strings};

/// By this label containers of these tests are known, should a test be killed.
const LABEL: &str = "gauntlet.test/contained";

/// How long a server may take to end when it is asked to.
const PATIENCE_SECONDS: i32 = 20;

/// Whether containers can be made here. Says so where they cannot.
pub fn able() -> bool {
    let engine = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    let answers = engine.is_ok_and(|output| output.status.success());
    if !answers {
        eprintln!("SKIPPED: Docker's engine does not answer");
    }
    answers && have(&["redis-server", "nats-server"])
}

/// What a server is asked to do with its data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Data {
    OnDisk,
    InMemory,
}

/// A server on loopback: its container shares the machine's network, so that its address outlives it.
pub struct Server {
    image: GenericImage,
    arguments: Vec<String>,
    port: u16,
    container: Option<ContainerAsync<GenericImage>>,
    runtime: Runtime,
}

impl Server {
    pub fn redis(data: Data) -> Self {
        let port = free_port();
        let appendonly = if data == Data::OnDisk { "yes" } else { "no" };
        let mut arguments = strings(&["redis-server", "--bind", "127.0.0.1", "--port", &port.to_string()]);
        arguments.extend(strings(&[
            "--dir",
            "/data",
            "--save",
            "",
            "--appendonly",
            appendonly,
            "--appendfsync",
            "always",
        ]));
        Self::start_new("redis-server", port, arguments, WaitFor::message_on_stdout("Ready to accept connections"))
    }

    pub fn nats() -> Self {
        let port = free_port();
        let mut arguments = strings(&["nats-server", "--addr", "127.0.0.1", "--port", &port.to_string()]);
        arguments.extend(strings(&["--jetstream", "--store_dir", "/data"]));
        Self::start_new("nats-server", port, arguments, WaitFor::message_on_stderr("Server is ready"))
    }

    fn start_new(program: &str, port: u16, arguments: Vec<String>, ready: WaitFor) -> Self {
        let runtime = Runtime::new().unwrap();
        let image = build(&runtime, &format!("gauntlet-test/{program}-{port}"), program).with_wait_for(ready);
        let mut server = Self { image, arguments, port, container: None, runtime };
        server.run();
        server
    }

    fn run(&mut self) {
        let request = self
            .image
            .clone()
            .with_cmd(self.arguments.clone())
            .with_network("host")
            .with_label(LABEL, std::process::id().to_string())
            .with_startup_timeout(Duration::from_secs(30));
        self.container = Some(self.runtime.block_on(request.start()).expect("the container starts"));
    }

    pub fn env(&self) -> Vec<(String, String)> {
        let variable = |name: &str, scheme: &str| (name.to_owned(), format!("{scheme}://127.0.0.1:{}", self.port));
        vec![variable("REDIS_URL", "redis"), variable("NATS_URL", "nats")]
    }

    /// SIGTERM, and ended when this returns.
    pub fn stop(&self) {
        let stopped = self.container().stop_with_timeout(Some(PATIENCE_SECONDS));
        self.runtime.block_on(stopped).expect("the container stops");
        self.assert_ended();
    }

    /// SIGKILL, and ended when this returns: the library can only ask politely first.
    pub fn kill(&self) {
        docker(&["kill", "--signal", "KILL", self.container().id()]);
        await_that("the server is dead", Duration::from_secs(10), || {
            if self.is_running() { Err("it runs".into()) } else { Ok(()) }
        });
        self.assert_ended();
    }

    fn assert_ended(&self) {
        assert!(!self.is_running(), "the server runs on");
        let reached = std::net::TcpStream::connect(("127.0.0.1", self.port));
        assert!(reached.is_err(), "somebody answers in its place");
    }

    fn is_running(&self) -> bool {
        self.runtime.block_on(self.container().is_running()).expect("the engine answers")
    }

    /// What was stopped or killed goes on with the data that it had.
    pub fn start(&self) {
        self.runtime.block_on(self.container().start()).expect("the container starts again");
    }

    /// A server without data takes the place of one that was stopped or killed.
    pub fn start_empty(&mut self) {
        let old = self.container.take().expect("a container");
        self.runtime.block_on(old.rm()).expect("the container is removed");
        self.run();
    }

    pub fn pause(&self) {
        self.runtime.block_on(self.container().pause()).expect("the container pauses");
    }

    pub fn unpause(&self) {
        self.runtime.block_on(self.container().unpause()).expect("the container goes on");
    }

    fn container(&self) -> &ContainerAsync<GenericImage> {
        self.container.as_ref().expect("a container")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(container) = self.container.take() {
            let _ = self.runtime.block_on(container.rm());
        }
        let _ = Command::new("docker")
            .args(["image", "rm", "--force", &format!("{}:{}", self.image.name(), self.image.tag())])
            .output();
    }
}

/// An image with one program, the libraries that it is linked with, and a place for its data.
fn build(runtime: &Runtime, image: &str, program: &str) -> GenericImage {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let path = programs::find(program).expect("the program is installed");
    copy(&path, &root.join("usr/bin").join(program));
    for library in libraries(&path) {
        copy(Path::new(&library), &root.join(library.trim_start_matches('/')));
    }
    std::fs::create_dir_all(root.join("data")).unwrap();
    std::fs::write(root.join("data/.keep"), "").unwrap();
    let made = GenericBuildableImage::new(image, "made")
        .with_dockerfile_string("FROM scratch\nCOPY root /\nENV PATH=/usr/bin\n")
        .with_file(&root, "root")
        .build_image();
    runtime.block_on(made).expect("the image is built")
}

/// What `ldd` lists with a path; nothing of a program that is linked with none.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().expect("ldd starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = said.split_whitespace().filter(|word| word.starts_with('/') && Path::new(word).is_file());
    words.map(str::to_owned).collect()
}

/// The file itself where there is a link.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

fn docker(arguments: &[&str]) {
    let output = Command::new("docker").args(arguments).output().expect("docker starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
