//! Tables of what must go and of what must stay, and properties that hold of every secret.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

fn knowing(values: &[&str]) -> Redactor {
    let redactor = Redactor::sparing(["orders-redis".to_owned()]);
    let data: serde_json::Map<String, Value> =
        values.iter().enumerate().map(|(n, value)| (n.to_string(), STANDARD.encode(value).into())).collect();
    redactor.learn([&json!({"kind": "Secret", "data": data})]);
    redactor
}

#[test]
fn what_looks_like_a_secret_goes() {
    let nothing = Redactor::default();
    for (text, told) in [
        ("redis://:hunter2@redis:6379/0", "redis://:REDACTED@redis:6379/0"),
        ("nats://user:pa/ss@nats:4222", "nats://user:REDACTED@nats:4222"),
        ("nats://s3cr3t@nats:4222", "nats://REDACTED@nats:4222"),
        ("Authorization: Bearer abcdef123456.x-y", "Authorization: Bearer REDACTED"),
        ("authorization: Basic dXNlcjpwdw==", "authorization: Basic REDACTED"),
        ("{\"password\":\"a b\",\"x\":1}", "{\"password\":\"REDACTED\",\"x\":1}"),
        ("{\\\"password\\\":\\\"a b\\\"}", "{\\\"password\\\":\\\"REDACTED\\\"}"),
        ("REDIS_PASSWORD=hunter2 NODE=a", "REDIS_PASSWORD=REDACTED NODE=a"),
        ("SIGNING_KEY=abcdefgh", "SIGNING_KEY=REDACTED"),
        ("api_key: 'k-1'", "api_key: 'REDACTED'"),
        ("apiKey = k-1, x", "apiKey = REDACTED, x"),
        ("dial --token abcdef --verbose", "dial --token REDACTED --verbose"),
        ("redis-server --requirepass hunter2", "redis-server --requirepass REDACTED"),
        ("requirepass hunter2", "requirepass REDACTED"),
        ("redis-cli -h a -a hunter2 PING", "redis-cli -h a -a REDACTED PING"),
        ("user app on >hunter2 ~* +@all", "user app on >REDACTED ~* +@all"),
        ("got eyJhbGciOiJI.eyJzdWIiOiIx.c2ln today", "got REDACTED today"),
        ("a\n-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nb", "a\nREDACTED\nb"),
        ("-----BEGIN PRIVATE KEY-----\nMHcC, and then it was cut", "REDACTED"),
    ] {
        assert_eq!(nothing.text(text), told);
    }
}

#[test]
fn what_only_speaks_of_secrets_stays() {
    let nothing = Redactor::default();
    for text in [
        "secret \"orders-tls\" not found",
        "secretName: orders-tls",
        "tokenExpirationSeconds: 3607",
        "couldn't find key redis-password in Secret shop/orders",
        "redis-cli -a $REDIS_PASSWORD ping",
        "password: $(REDIS_PASSWORD)",
        "password_file: /run/secrets/redis",
        "--no-auth-warning --cluster create",
        "--tls-auth-clients no",
        "NOAUTH Authentication required.",
        "http://orders:8080/path:with@sign",
        "token: invalid",
        "automountServiceAccountToken: false",
        "MountVolume.SetUp failed for volume \"kube-api-access-token\" : failed to sync",
        "2026-01-02T03:04:05Z user-7 subscribed to a@b",
        "sha256:0123456789abcdef",
        "secret:\n  secretName: orders",
    ] {
        assert_eq!(nothing.text(text), text);
    }
}

#[test]
fn a_value_of_a_secret_goes_wherever_and_however_it_stands() {
    let secret = "pl4nted/se+cret\"1";
    let redactor = knowing(&[secret]);
    let encoded = |text: String| STANDARD.encode(text);
    for text in [
        format!("got {secret} here"),
        format!("x{secret}x"),
        json!({ "a": secret }).to_string(),
        "https://h/?q=pl4nted%2Fse%2Bcret%221".to_owned(),
        encoded(secret.to_owned()),
        encoded(format!("u:{secret}")),
        encoded(format!("us:{secret}!")),
        encoded(format!("usr:{secret} and more")),
    ] {
        for told in [redactor.text(&text), redactor.lines(&text)] {
            assert!(told.contains(REDACTED), "{text} became {told}");
            assert!(!told.contains("pl4nted") && !told.contains("se+cret"), "{text} became {told}");
        }
    }
    assert_eq!(redactor.text(&STANDARD.encode(secret)), REDACTED, "nothing of an encoding is left over");
}

#[test]
fn what_is_secret_inside_a_secret_is_known_by_itself() {
    let key =
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCC\nqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n";
    let redactor = knowing(&["redis://app:url-pw-77@redis:6379", key, "authorization {\n  password: conf-pw-88\n}\n"]);
    for text in ["url-pw-77", "MIGHAgEAMBMGByqGSM49AgEGCC", "conf-pw-88"] {
        assert_eq!(redactor.text(&format!("<{text}>")), "<REDACTED>");
    }
    assert_eq!(redactor.text("redis:6379 authorization {"), "redis:6379 authorization {");
}

#[test]
fn names_that_everybody_knows_are_no_secrets() {
    let redactor = knowing(&["orders-redis", "default", "short"]);
    assert_eq!(redactor.text("orders-redis in default is short"), "orders-redis in default is short");
}

#[test]
fn objects_lose_what_is_secret_by_its_place() {
    let redactor = Redactor::default();
    let pod = json!({
        "kind": "Pod",
        "metadata": {"name": "p", "managedFields": [1], "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "x-1", "example.com/api-token": "x-2", "note": "password=x-3"}},
        "spec": {"containers": [{
            "env": [
                {"name": "REDIS_PASSWORD", "value": "x-4"}, {"name": "SIGNING_KEY", "value": "x-5"},
                {"name": "URL", "value": "redis://:x-6@redis"}, {"name": "PASSWORD", "value": "$(OTHER)"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "orders", "key": "token"}}}],
            "command": ["redis-cli", "-a", "x-7", "PING"], "args": ["--requirepass", "x-8", "--token=x-9", "--port", "1"]}],
            "volumes": [{"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]},
    });
    let told = redactor.object(pod);
    let text = told.to_string();
    assert!(!text.contains("x-"), "{text}");
    for kept in ["\"token\"", "$(OTHER)", "\"--port\",\"1\"", "REDIS_PASSWORD", "redis://:REDACTED@redis"] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
}

#[test]
fn nothing_of_a_secret_object_is_left() {
    let last = json!({"kubectl.kubernetes.io/last-applied-configuration": "s3cret"});
    for kind in [json!("Secret"), Value::Null] {
        let secret = json!({"kind": kind, "type": "Opaque", "metadata": {"name": "s", "annotations": last, "managedFields": []},
            "data": {"API_KEY": "czNjcmV0"}, "stringData": {"OTHER": "s3cret"}});
        let text = Redactor::default().object(secret).to_string();
        assert!(!text.contains("s3cret") && !text.contains("czNjcmV0"), "{text}");
        assert!(text.contains("API_KEY"), "which keys there are is no secret: {text}");
    }
    let map = json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}});
    assert_eq!(Redactor::default().object(map.clone()), map);
}

proptest! {
    #[test]
    fn no_known_value_survives(secret in "[ -~]{8,40}", before in ".{0,20}", after in ".{0,20}") {
        prop_assume!(!secret.trim().to_lowercase().contains("redacted") && secret.trim().len() >= 8);
        let redactor = knowing(&[&secret]);
        for text in [format!("{before}{secret}{after}"), STANDARD.encode(format!("{before}{secret}{after}"))] {
            let told = redactor.text(&text);
            prop_assert!(!told.contains(secret.trim()), "{text} became {told}");
            prop_assert!(!told.contains(&STANDARD.encode(&secret)), "{text} became {told}");
        }
    }

    #[test]
    fn redacting_twice_changes_nothing(text in "(password|token|[a-z]{1,5}|://|[:=@ \"'])*[a-z0-9]{0,9}") {
        let redactor = Redactor::default();
        let once = redactor.text(&text);
        prop_assert_eq!(redactor.text(&once), once);
    }
}
