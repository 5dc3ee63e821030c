//! What the format of the recordings means, as pure functions.
//!
//! - [`pointer`]: JSON pointers with extensions, and conditions on what they reach
//! - [`shape`]: cutting an answer down before it is compared
//! - [`matcher`]: comparing an answer with an expectation that holds placeholders
//! - [`variables`]: `{name}` in requests and expectations

pub mod matcher;
pub mod pointer;
pub mod shape;
pub mod variables;
