//! Which names and words say that a secret follows.

use regex::Regex;
use std::sync::LazyLock;

macro_rules! sure {
    () => {
        r"passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credentials?|cookie[_-]?salt|requirepass|masterauth|(?-i:PGPASS)|[a-z0-9][_.-](?:pass|pw|creds)"
    };
}

/// Parts of names whose values are secrets. Some mean other things too: a key may be one to sort by.
pub const NAMES: &str = concat!(sure!(), r"|(?-i:[A-Z0-9]_(?:KEY|PASS|AUTH|CREDS?|SALT|PW))");

/// What may follow without the name meaning something else, as `secretName` does.
pub const ENDS: &str = r"(?:[_-]?(?:value|key|id|data|hash|[0-9]+))?";

/// Flags whose next word is a secret.
pub const FLAGS: &str = r"passw(?:or)?d|pass|passphrase|secret|token|api-?key|auth";

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant of this module")
}

static NAME: LazyLock<Regex> = LazyLock::new(|| compiled(&format!(r"(?i)^[\w./-]*(?:{NAMES}){ENDS}(?:\.txt)?$")));
static SURE: LazyLock<Regex> = LazyLock::new(|| compiled(&format!(r"(?i)^[\w./-]*(?:{}){ENDS}(?:\.txt)?$", sure!())));
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?i)(?:^|[_./-])(?:key|pass|auth|pwd|pw|creds?|salt)(?:\.txt)?$|^pgpass$"));
static CONNECTION: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?i)(?:^|[_./-])(?:dsn|conn(?:ection)?[_-]?str(?:ing)?)$"));
static FLAG: LazyLock<Regex> =
    LazyLock::new(|| compiled(&format!(r"(?i)^(?:--?[\w-]*(?:{FLAGS})|requirepass|masterauth)$")));

/// Whether values under this name are secrets.
pub fn is_secret_name(name: &str) -> bool {
    NAME.is_match(name)
}

/// Whether the name means secrets and nothing else.
pub fn is_sure(name: &str) -> bool {
    SURE.is_match(name)
}

/// Whether a variable of this name holds a secret.
pub fn is_secret_variable(name: &str) -> bool {
    NAME.is_match(name) || VARIABLE.is_match(name)
}

/// Whether this says how to connect to something. A URL without a user names a place only.
pub fn is_connection(name: &str, value: &str) -> bool {
    let is_place = value.contains("://") && !value.contains('@');
    CONNECTION.is_match(name) && !value.is_empty() && !is_place
}

/// What a command line is for, as far as that says which of its words are secrets.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    redis: bool,
    curl: bool,
    mysql: bool,
    acl: bool,
}

impl Command {
    pub fn of(line: &[&str]) -> Self {
        let runs = |programs: &[&str]| {
            line.iter().any(|word| word.rsplit('/').next().is_some_and(|program| programs.contains(&program)))
        };
        Self {
            redis: runs(&["redis-cli"]),
            curl: runs(&["curl"]),
            mysql: runs(&["mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin"]),
            acl: line.iter().any(|word| ["setuser", "user", "--user"].contains(&word.to_lowercase().as_str())),
        }
    }

    /// Whether the word after this one is a secret.
    pub fn announces_secret(self, word: &str) -> bool {
        let is_flag = FLAG.is_match(word) && !word.starts_with("--no-");
        is_flag || (self.redis && word == "-a") || (self.curl && ["-u", "--user"].contains(&word))
    }

    /// Whether the word is one itself.
    pub fn is_secret(self, word: &str) -> bool {
        let is_longer_than = |flag: &str| word.strip_prefix(flag).is_some_and(|rest| !rest.is_empty());
        (self.mysql && is_longer_than("-p")) || (self.curl && is_longer_than("-u")) || (self.acl && is_longer_than(">"))
    }
}
