//! What stands as a secret in one object goes everywhere; names do not.

use super::{REDACTED, Redactor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn pod() -> Value {
    json!({"kind": "Pod",
        "metadata": {"name": "talker-0", "labels": {"app": "talker"}, "annotations": {
            "example.com/api-token": "planted-01", "example.com/auth-secret": "orders-login",
            "kubectl.kubernetes.io/last-applied-configuration":
                "{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"OLD_PASSWORD\",\"value\":\"planted-02\"}]}]}}"}},
        "spec": {"containers": [{
            "name": "talker", "image": "busybox:1",
            "env": [
                {"name": "DATABASE_PASSWORD", "value": "planted-03"}, {"name": "SLASH_PASSWORD", "value": "/planted-04"},
                {"name": "DOLLAR_PASSWORD", "value": "$$planted-05"}, {"name": "PCT_TOKEN", "value": "%planted-06"},
                {"name": "STAR_TOKEN", "value": "*planted-07"}, {"name": "PGPASS", "value": "planted-08"},
                {"name": "SMTP_CREDS", "value": "planted-09"}, {"name": "COOKIE_SALT", "value": "planted-10"},
                {"name": "DSN", "value": "app:planted-11@tcp(db:3306)/x"}, {"name": "OTHER_DSN", "value": "planted-12"},
                {"name": "CACHE", "value": "redis://:planted-13@redis:6379"},
                {"name": "TOKEN_PATH_TOKEN", "value": "/var/run/secrets/token"},
                {"name": "SORT_KEY", "value": "created_at"}, {"name": "TLS_KEY", "value": "/etc/tls/client/tls.key"},
                {"name": "APP_PASSWORD", "value": "talker"}, {"name": "FIRST_AUTH", "value": "enabled"}],
            "command": ["sh", "-c", "serve --token planted-14"],
            "args": ["--password", "/planted-15", "--requirepass", "planted-16"]}]}})
}

fn config() -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": "orders-login"},
        "data": {"app.conf": "password: \"planted-17\"\nupstream: nats://planted-18@nats:4222", "DB_PASS": "planted-19",
            "tls.key": "planted-20", "app.key": "planted-21", "pw.txt": "planted-22"},
        "binaryData": {"b.conf": STANDARD.encode("password=planted-23"), "pw": STANDARD.encode("planted-24")}})
}

#[test]
fn a_secret_outside_of_secrets_goes_where_it_is_repeated() {
    let redactor = Redactor::default();
    redactor.learn([&pod(), &config()]);
    let before = |number| match number {
        4 | 15 => "/",
        5 => "$",
        6 => "%",
        7 => "*",
        _ => "",
    };
    for number in 1..=24 {
        let planted = format!("{}planted-{number:02}", before(number));
        assert_eq!(redactor.text(&format!("got {planted} here")), "got REDACTED here", "{planted}");
    }
}

#[test]
fn a_secret_is_in_no_object() {
    let told = [pod(), config()].map(|object| Redactor::default().object(object));
    assert!(!told[0].to_string().contains("planted"), "{}", told[0]);
    assert!(!told[1].to_string().contains("planted"), "{}", told[1]);
    let binary = told[1]["binaryData"]["b.conf"].as_str().unwrap();
    assert_eq!(STANDARD.decode(binary).unwrap(), b"password=REDACTED", "it can still be decoded");
    let env = told[0]["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains("app:REDACTED@tcp(db:3306)/x") && env.contains("/etc/tls/client/tls.key"), "{env}");
}

#[test]
fn names_paths_and_switches_are_not_learned() {
    let redactor = Redactor::default();
    redactor.learn([&pod(), &config()]);
    let text =
        "talker-0 uses orders-login by created_at, enabled, of /var/run/secrets/token and /etc/tls/client/tls.key";
    assert_eq!(redactor.text(text), text);
}

#[test]
fn under_a_secret_name_only_references_and_nothing_stay() {
    for (value, stays) in [
        ("", true),
        ("$PASSWORD", true),
        ("$(PASSWORD)", true),
        ("${PASSWORD}", true),
        ("none", false),
        ("invalid", false),
        ("required", false),
        ("83712", false),
        ("/wayround", false),
        ("$wayround", false),
        ("$PASSWORD-2", false),
        ("{wayround", false),
        ("[wayround", false),
        ("<wayround", false),
        ("*wayround", false),
        ("%wayround", false),
    ] {
        let container = json!({"env": [{"name": "DATABASE_PASSWORD", "value": value}], "args": ["--password", value]});
        let annotations = json!({"example.com/password": value});
        let pod = json!({"kind": "Pod", "metadata": {"annotations": annotations}, "spec": {"containers": [container]}});
        let told = Redactor::default().object(pod.clone());
        let expected = if stays { value } else { REDACTED };
        for place in [
            "/metadata/annotations/example.com~1password",
            "/spec/containers/0/env/0/value",
            "/spec/containers/0/args/1",
        ] {
            assert_eq!(told.pointer(place).unwrap(), expected, "{place}: {value}");
        }
    }
}

#[test]
fn what_a_command_line_says_in_parts_goes() {
    for (line, secret) in [
        (json!(["curl", "-u", "app:planted"]), 2),
        (json!(["/usr/bin/mysql", "-pplanted"]), 1),
        (json!(["redis-cli", "ACL", "SETUSER", "app", "on", ">planted"]), 5),
        (json!(["redis-cli", "-a", "/planted"]), 2),
    ] {
        let told = Redactor::default().object(json!({"kind": "Pod", "command": line.clone()}));
        for (n, word) in line.as_array().unwrap().iter().enumerate() {
            let expected = if n == secret { REDACTED } else { word.as_str().unwrap() };
            assert_eq!(told["command"][n], expected, "{line}");
        }
    }
    let quiet = json!({"kind": "Pod", "args": ["--no-auth", "--port", "1"]});
    assert_eq!(Redactor::default().object(quiet.clone()), quiet);
}
