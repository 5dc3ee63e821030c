//! What Kubernetes knows about the shape and meaning of its objects, as pure functions over JSON values.
//!
//! The way of a request body: [`decode::decode`] (or [`patch::apply`], or [`managed::apply`]) gives a canonical object,
//! [`KindSchema::default_object`] fills it in, [`KindSchema::validate_create`] or [`KindSchema::validate_update`] judge
//! it, [`managed::track_update`] records who set what.
//!
//! - [`model`]: the compact form of schemas; [`Gvk`], [`KindSchema`]
//! - [`builtin`]: schemas of the built-in kinds, from the published OpenAPI; [`Schemas::builtin`]
//! - [`crd`], [`constraints`]: structural schemas of custom resources
//! - [`text`]: JSON text, with duplicate keys noticed
//! - [`check`]: wrong types and unknown fields
//! - [`canonical`]: pruning, and the canonical form in which objects are stored
//! - [`decode`]: request bodies to objects
//! - [`patch`]: JSON patch, merge patch, strategic merge patch
//! - [`managed`]: server-side apply and field managers
//! - [`defaults`]: defaults of built-in kinds beyond what OpenAPI says
//! - [`validation`], [`cause`]: what makes an object invalid, and how that is worded

mod base64;
pub mod builtin;
pub mod canonical;
pub mod cause;
pub mod check;
pub mod constraints;
pub mod crd;
pub mod decode;
pub mod defaults;
pub mod managed;
pub mod model;
pub mod patch;
pub mod text;
pub mod validation;

use serde_json::Value;

pub use builtin::Schemas;
pub use decode::{Decoded, FieldValidation};
pub use model::{Gvk, KindSchema};
pub use patch::PatchKind;

impl KindSchema {
    /// The schema of a custom kind, from its `openAPIV3Schema`. The error says where that is wrong.
    pub fn custom(gvk: Gvk, schema: &Value) -> Result<Self, String> {
        crd::compile(gvk, schema)
    }

    /// Brings a changed object into canonical form; see [`canonical`].
    pub fn canonicalize(&self, object: &mut Value) {
        canonical::canonicalize(self, object);
    }

    /// Fills in what the author left to Kubernetes. Idempotent; expects a canonical object and leaves one.
    pub fn default_object(&self, object: &mut Value) {
        if self.custom {
            crd::default_custom(self, object);
        } else {
            defaults::default_object(&self.gvk, object);
        }
    }

    /// The causes for which a new object is refused with 422; none for a valid one. Expects a defaulted object.
    pub fn validate_create(&self, object: &Value) -> Vec<Value> {
        validation::validate_create(self, object)
    }

    /// The causes for which a change of an object is refused with 422.
    pub fn validate_update(&self, new: &Value, old: &Value) -> Vec<Value> {
        validation::validate_update(self, new, old)
    }
}
