//! The images that every cluster knows.

use super::ImageRecipe;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn recipes() -> Vec<ImageRecipe> {
    let pause = ImageRecipe {
        entrypoint: script(include_str!("entrypoints/pause.sh"), "/pause"),
        ..image(&["registry.k8s.io/pause:*"])
    };
    let redis = ImageRecipe {
        entrypoint: script(include_str!("entrypoints/redis.sh"), "docker-entrypoint.sh"),
        cmd: vec!["redis-server".into()],
        working_dir: "/data".into(),
        requires: vec!["redis-server".into(), "redis-cli".into()],
        ..image(&["redis:*"])
    };
    let nats = ImageRecipe {
        entrypoint: script(include_str!("entrypoints/nats.sh"), "docker-entrypoint.sh"),
        cmd: vec!["nats-server".into()],
        requires: vec!["nats-server".into()],
        ..image(&["nats:*"])
    };
    let shell = ImageRecipe {
        cmd: vec!["sh".into()],
        ..image(&["alpine:*", "busybox:*", "debian:*", "registry.k8s.io/e2e-test-images/busybox:*"])
    };
    vec![pause, redis, nats, shell]
}

fn image(names: &[&str]) -> ImageRecipe {
    ImageRecipe {
        images: names.iter().map(|name| (*name).to_owned()).collect(),
        env: vec![("PATH".into(), PATH.into())],
        working_dir: "/".into(),
        ..ImageRecipe::default()
    }
}

/// A shell script as an entrypoint; arguments follow it.
fn script(text: &str, name: &str) -> Vec<String> {
    ["sh", "-c", text, name].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Runs an entrypoint with a program path in which `programs` merely print what they were called with.
    fn run(entrypoint: &[String], arguments: &[&str], programs: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, body) in programs {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).unwrap();
        }
        let path = format!("{}:{PATH}", dir.path().display());
        let output = Command::new(&entrypoint[0]).args(&entrypoint[1..]).args(arguments).env("PATH", path).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    fn entrypoint(image: &str) -> Vec<String> {
        super::super::Catalogue::new(Vec::new()).find(image).unwrap().entrypoint.clone()
    }

    #[test]
    fn options_alone_mean_the_server() {
        let echo = [("redis-server", "echo server $@")];
        assert_eq!(run(&entrypoint("redis:7"), &["--port", "1"], &echo), "server --port 1\n");
        assert_eq!(run(&entrypoint("redis:7"), &["echo", "hello"], &echo), "hello\n");
    }

    #[test]
    fn a_setting_that_an_old_nats_server_refuses_is_left_out() {
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), "jetstream {\n  store_dir: /data\n  sync_interval: \"1s\"\n}\n").unwrap();
        let old = r#"for last; do :; done
            if [ "$1" = -t ]; then grep -q sync_interval "$last" && echo 'unknown field "sync_interval"'; exit; fi
            cat "$last""#;
        let path = config.path().to_str().unwrap();
        let text = run(&entrypoint("nats:2.10"), &["-c", path], &[("nats-server", old)]);
        assert_eq!(text, "jetstream {\n  store_dir: /data\n}\n");
        let _ = std::fs::remove_file(Path::new("/dev/shm/nats.conf"));
    }
}
