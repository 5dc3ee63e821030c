//! What is asked of histories and of other things that were seen, and the answers. A question is data: a scenario asks it
//! when its clients have ended and saves it beside their histories, so that the same code can answer it again later.
//!
//! - [`question`]: everything that can be asked
//! - [`disruption`]: of these, what is about things that were done to a cluster
//! - [`answer`]: from histories to checks, figures and moments
//! - [`again`]: a scenario judged again, against what it came to before

mod again;
mod answer;
pub mod disruption;
mod question;

pub use again::{Again, Row, again};
pub use answer::{Answer, Ruling, told};
pub use question::{Allowance, Client, Consumer, Control, Gap, Messages, Question, Saved, Store, Telling, Writes};
pub use question::{Jobs, Read, Refusals, Restored};
