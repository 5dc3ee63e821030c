//! Who asks, and what they may do.

pub mod authenticate;
pub mod bootstrap;
pub mod pki;
pub mod rbac;
pub mod reviews;
pub mod tokens;

/// Somebody who was authenticated, or the anonymous user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// Facts about the credential, as `SelfSubjectReview` shows them.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".into(), groups: vec!["system:unauthenticated".into()], ..Self::default() }
    }

    pub fn new(name: impl Into<String>, groups: Vec<String>) -> Self {
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// Everybody who is known belongs to this group.
    pub fn authenticated(mut self) -> Self {
        const GROUP: &str = "system:authenticated";
        if !self.groups.iter().any(|g| g == GROUP) {
            self.groups.push(GROUP.into());
        }
        self
    }
}
