//! Chromium without a window: loads a page, and gives its elements and what it said on the console.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

pub struct Browser {
    program: &'static str,
}

pub struct Loaded {
    /// The page as it was after its scripts had run.
    pub dom: String,
    pub console: Vec<String>,
}

impl Browser {
    /// A browser of this machine, installed if need be. `None` is said aloud.
    pub fn find() -> Option<Self> {
        static FOUND: OnceLock<Option<&'static str>> = OnceLock::new();
        let program = (*FOUND.get_or_init(|| installed().or_else(install)))?;
        Some(Self { program })
    }

    pub fn load(&self, page: &str) -> Loaded {
        self.load_with(page, &["--window-size=1280,1600"])
    }

    /// With more options of the program, such as another size of the window or a dark scheme.
    pub fn load_with(&self, page: &str, options: &[&str]) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index.html");
        std::fs::write(&file, page).unwrap();
        self.open(folder.path(), &file, options)
    }

    /// The page in a frame of that width; `data-width` of the outer page says how wide it became, and how much of the
    /// timeline was drawn.
    pub fn load_at_width(&self, page: &str, width: u32) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let escaped = page.replace('&', "&amp;").replace('"', "&quot;");
        let outer = format!(
            "<body><iframe width={width} height=800 style=\"border:0\" srcdoc=\"{escaped}\"></iframe><script>
            onload = () => setTimeout(() => {{
              const inner = document.querySelector('iframe').contentDocument, all = (what) => [...inner.querySelectorAll(what)];
              const widest = (list) => Math.max(0, ...list.map((one) => one.getBoundingClientRect().right));
              document.body.dataset.width = JSON.stringify({{ page: inner.documentElement.scrollWidth,
                pods: all('.lanes rect.pod').length, charts: all('.timeline canvas').length,
                drawn: widest(all('.lanes, .timeline canvas')) }});
            }}, 1000)
            </script></body>"
        );
        let file = folder.path().join("outer.html");
        std::fs::write(&file, outer).unwrap();
        self.open(folder.path(), &file, &["--window-size=1280,1600"])
    }

    fn open(&self, folder: &Path, file: &Path, options: &[&str]) -> Loaded {
        let output = Command::new(self.program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"])
            .args(options)
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(dom.contains("</html>"), "the browser gave no page: {said}");
        Loaded { dom, console: said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect() }
    }
}

impl Loaded {
    /// What a script left in an attribute `data-…` of the body.
    pub fn json(&self, name: &str) -> Value {
        let start = format!("data-{name}=\"");
        let text = self.dom.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
        let (text, _) = text.unwrap_or_else(|| panic!("no data-{name}; the console: {:?}", self.console));
        serde_json::from_str(&text.replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
    }
}

fn installed() -> Option<&'static str> {
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    NAMES.iter().find(runs).copied()
}

fn install() -> Option<&'static str> {
    eprintln!("no browser is on this machine: trying `apt-get install chromium`");
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", "chromium"]] {
        let done = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output();
        if !done.is_ok_and(|output| output.status.success()) {
            super::skipped("no browser, and none can be installed: `apt-get install chromium` as root gets one");
            return None;
        }
    }
    installed()
}
