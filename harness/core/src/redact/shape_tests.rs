//! Tables of what looks like a secret, and of what only looks a little like one.

use super::Redactor;

#[test]
fn what_follows_a_name_goes_to_its_end_and_what_comes_after_stays() {
    for (text, told) in [
        ("password=abc,rest-9", "password=REDACTED"),
        ("password=abc&rest-9", "password=REDACTED"),
        ("password=abc(rest-9", "password=REDACTED"),
        ("password=abc|rest", "password=REDACTED"),
        ("redis:6379,password=a,b,ssl=True", "redis:6379,password=REDACTED,ssl=True"),
        ("/login?token=abc&user=x", "/login?token=REDACTED&user=x"),
        ("{password:abc,user:x}", "{password:REDACTED,user:x}"),
        ("dial(password=abc) failed", "dial(password=REDACTED) failed"),
        ("map[password:abc user:x]", "map[password:REDACTED user:x]"),
        ("password: my long pass", "password: REDACTED"),
        ("  - password: my long pass", "  - password: REDACTED"),
        ("password: \"my long pass\" and", "password: \"REDACTED\" and"),
        ("password: 'my long pass' and", "password: 'REDACTED' and"),
        ("password: \"cut off", "password: \"REDACTED"),
        ("password: \"first\n  second\"\nport: 1", "password: \"REDACTED\"\nport: 1"),
        ("{\\\"password\\\":\\\"a \\\\\\\" b\\\",\\\"x\\\":1}", "{\\\"password\\\":\\\"REDACTED\\\",\\\"x\\\":1}"),
        ("DATABASE_PASSWORD=/wayround", "DATABASE_PASSWORD=REDACTED"),
        ("DATABASE_PASSWORD=$wayround", "DATABASE_PASSWORD=REDACTED"),
        ("DATABASE_PASSWORD={wayround", "DATABASE_PASSWORD=REDACTED"),
        ("DATABASE_PASSWORD=${PASS:-wayround}", "DATABASE_PASSWORD=REDACTED"),
        ("password: \"%wayround\"", "password: \"REDACTED\""),
        ("password: '*wayround'", "password: 'REDACTED'"),
        ("password: '<wayround'", "password: 'REDACTED'"),
        ("password: 83712", "password: REDACTED"),
        ("requirepass 'a b'", "requirepass 'REDACTED'"),
        ("passwordHash: abcdef", "passwordHash: REDACTED"),
        ("PGPASS=abcdef SMTP_CREDS=a:b COOKIE_SALT=x1", "PGPASS=REDACTED SMTP_CREDS=REDACTED COOKIE_SALT=REDACTED"),
        ("host=db user=app pass=abc-9", "host=db user=app pass=REDACTED"),
        ("AccountName=a;AccountKey=ab/c==;Suffix=x", "AccountName=a;AccountKey=REDACTED;Suffix=x"),
        ("<password>abc</password>", "<password>REDACTED</password>"),
    ] {
        assert_eq!(Redactor::default().text(text), told);
    }
}

#[test]
fn credentials_of_urls_go_whatever_letters_they_have() {
    for (text, told) in [
        ("redis://:/pw@h:6379", "redis://:REDACTED@h:6379"),
        ("redis://:12345/pw@h", "redis://:REDACTED@h"),
        ("redis://u:ab@rest@h", "redis://u:REDACTED@h"),
        ("nats://u:12345/pw@h", "nats://u:REDACTED@h"),
        ("nats://u:p@n1:4222,nats://u:p@n2:4222", "nats://u:REDACTED@n1:4222,nats://u:REDACTED@n2:4222"),
        ("u:p-9@tcp(db:3306)/x", "u:REDACTED@tcp(db:3306)/x"),
        ("https://u:p@h/a@b", "https://u:REDACTED@h/a@b"),
        ("http://h:8080/a@b", "http://h:8080/a@b"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ("redis://:$(PASS)@h", "redis://:$(PASS)@h"),
        ("redis://h:6379/0?name=a@b", "redis://h:6379/0?name=a@b"),
    ] {
        assert_eq!(Redactor::default().text(text), told);
    }
}

#[test]
fn what_programs_are_told_on_their_lines_goes() {
    for (text, told) in [
        ("AUTH abc9", "AUTH REDACTED"),
        ("W16 AUTH app abc-9", "W16 AUTH app REDACTED"),
        ("127.0.0.1:6379> AUTH hunter", "127.0.0.1:6379> AUTH REDACTED"),
        ("1.2 [0 10.0.0.1:1] \"AUTH\" \"hunter\"", "1.2 [0 10.0.0.1:1] \"AUTH\" \"REDACTED\""),
        ("\"auth\" \"app\" \"hunter\"", "\"auth\" \"app\" \"REDACTED\""),
        ("user app on >one >two ~* +@all", "user app on >REDACTED >REDACTED ~* +@all"),
        ("Set-Cookie: sid=abc-9; Path=x; HttpOnly", "Set-Cookie: sid=REDACTED; Path=REDACTED; HttpOnly"),
        ("cookie: a=b1; c=d2", "cookie: a=REDACTED; c=REDACTED"),
        ("curl -u admin:abc http://x", "curl -u REDACTED http://x"),
        ("curl -s --user admin:abc http://x", "curl -s --user REDACTED http://x"),
        ("mysql -h db -pabc shop", "mysql -h db -pREDACTED shop"),
        ("{\"auths\":{\"r\":{\"auth\":\"dXNlcjpwdzEyMw==\"}}}", "{\"auths\":{\"r\":{\"auth\":\"REDACTED\"}}}"),
    ] {
        assert_eq!(Redactor::default().text(text), told);
    }
}

#[test]
fn keys_and_tokens_go_by_how_they_look() {
    let long = "a1B2c3D4e5".repeat(4);
    let seed = format!("SU{}", "ABCDEFG2".repeat(7));
    for token in [
        format!("glpat-{long}"),
        format!("npm_{long}"),
        format!("AIza{long}"),
        format!("sk_live_{long}"),
        format!("ghp_{long}"),
        format!("xoxb-{long}"),
        seed.clone(),
        format!("SA{}", &seed[2..]),
        format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{long}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"),
        format!("-----BEGIN NATS USER JWT-----\n{long}\n------END NATS USER JWT------"),
        "-----BEGIN USER NKEY SEED-----\nSUACSS\n------END USER NKEY SEED------".to_owned(),
        format!("{long}\n{long}\nabc=\n-----END PRIVATE KEY-----"),
        format!("2026-01-02T03:04:05.6Z {long}\n2026-01-02T03:04:05.6Z -----END RSA PRIVATE KEY-----"),
    ] {
        assert_eq!(Redactor::default().text(&format!("it is:\n{token}\nand more")), "it is:\nREDACTED\nand more");
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "tests pass: 12, fail: 0",
        "bypass=1234 compass: north",
        "token=3 of 5",
        "token: cannot be parsed",
        "secret: <none>",
        "msg=\"invalid token:\" err=\"not found\"",
        "secret=~\".*-tls\"",
        "Token::new(1)",
        "password=%s",
        "password: ********",
        "redis-cli -a \"$REDIS_PASSWORD\" ping",
        "REDIS_PASSWORD=${REDIS_PASSWORD:?must be set}",
        "password=$PASS; echo done",
        "client AUTH failed",
        "ERR AUTH <password> called without any password configured",
        "cookie: invalid signature",
        "mysql -P 3306 -p shop",
        "curl -s http://orders:8080/healthz",
        "--user=1000:1000",
        "\"auth\": \"disabled\"",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "image redis:7@sha256:0123456789abcdef pulled for orders-6d5f-x2 on 10.0.0.1:6379",
        "keyspace db0:keys=1234,expires=0,avg_ttl=0",
        "stream ORDERS has 3 replicas, leader nats-0, key orders.created",
    ] {
        assert_eq!(Redactor::default().text(text), text);
    }
}
