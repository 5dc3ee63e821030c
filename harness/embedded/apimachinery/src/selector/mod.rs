//! Label selectors (the string form of requests and the object form of specs) and field selectors.

mod field;
mod label;
mod parser;

pub use field::FieldSelector;
pub use label::LabelSelector;
