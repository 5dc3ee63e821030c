//! What must not be told, taken out of what is: secret values that are known, however they are encoded, and what looks
//! like one.
//!
//! Everything that a run writes or says passes here where it comes into being: files of evidence before they are written,
//! events before anybody sees them. Reports are made from events, so nothing has to be hidden in them again.
//!
//! - [`object`]: what is a secret by its place in an object
//! - [`shape`], [`patterns`], [`blocks`], [`url`]: what is one by its looks
//! - [`names`], [`harmless`]: which names say that one follows, and what is none although they do
//! - [`learned`]: what objects tell of secrets, so that it is known elsewhere too
//! - [`known`]: values that are known, wherever they stand
//! - [`forms`], [`view`]: how they may be encoded, and texts read as decoders read them
//! - [`spans`]: parts of texts, and covering them

mod blocks;
mod forms;
mod harmless;
mod known;
mod learned;
mod names;
mod object;
mod patterns;
mod shape;
mod spans;
mod url;
mod view;

use known::Known;
use learned::Learned;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Stands where something was taken out.
pub const REDACTED: &str = "REDACTED";

/// Knows the secrets of a run. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Arc<Known>>>,
    /// Names that everybody may know, in lower case.
    public: Arc<BTreeSet<String>>,
}

impl Redactor {
    /// Names of workloads and the like are no secrets, though a Secret may hold them: without them no report could be
    /// read.
    pub fn sparing(names: impl IntoIterator<Item = String>) -> Self {
        let public = names.into_iter().map(|name| name.to_lowercase()).collect();
        Self { public: Arc::new(public), ..Self::default() }
    }

    /// From now on nothing that these objects hold as a secret is told: values of Secrets, and what is covered in any other
    /// object by its place or its looks.
    pub fn learn<'a>(&self, objects: impl IntoIterator<Item = &'a Value>) {
        let learned = Learned::of(objects);
        // Nobody else may learn in between, or it would be forgotten.
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(known.with(learned, &self.public));
    }

    /// Keys of Secrets whose values are too short to be looked for in texts, so that these may tell them.
    pub fn too_short(&self) -> BTreeSet<String> {
        self.current().too_short().clone()
    }

    fn current(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lines of JSON without the values that are known, which must be read again: nothing is guessed, and of a line in which
    /// something is known only texts are touched, neither numbers nor names of fields.
    pub fn lines(&self, text: &str) -> String {
        let known = self.current();
        let without = |text: &str| known.without(text).into_owned();
        let line = |line: &str| match (known.without(line), serde_json::from_str(line)) {
            (Cow::Owned(_), Ok(mut value)) => {
                object::each_string(&mut value, &without);
                value.to_string()
            }
            (redacted, _) => redacted.into_owned(),
        };
        text.lines().map(|text| line(text) + "\n").collect()
    }

    /// A text without what is known and without what looks like a secret.
    pub fn text(&self, text: &str) -> String {
        shape::without(&self.current().without(text)).into_owned()
    }

    /// A Kubernetes object without data of Secrets, without the copies that tools keep of objects, and with all its
    /// texts redacted.
    pub fn object(&self, object: Value) -> Value {
        object::redacted(object, &|text| self.text(text))
    }

    /// Redacts every text in a value, whatever it is.
    pub fn strings(&self, value: &mut Value) {
        object::each_string(value, &|text| self.text(text));
    }
}

#[cfg(test)]
mod known_tests;
#[cfg(test)]
mod learned_tests;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
mod tests;
