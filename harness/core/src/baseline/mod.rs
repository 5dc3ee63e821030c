//! Figures of earlier runs, and whether those of a new one are worse than noise explains.
//!
//! - [`measurement`]: one figure of one run, as a line of the file that keeps them
//! - [`rank`]: how likely it is by chance alone that new values are as large as they are
//! - [`compare`]: regressions told from noise, over all figures together
//!
//! # The method
//! Runs take minutes, so there are few of them; and what they measure has heavy tails: an election that was split, a node
//! that was slow. So nothing is assumed about how values are distributed. Each figure is tested by the exact one-sided
//! rank test of Wilcoxon, Mann and Whitney: were both systems the same, every way in which old and new values may be
//! mixed would be as likely as any other. All figures are held to one level together by Holm's procedure: a healthy
//! system raises any false alarm in one check with that probability at the most. And what is small does not matter,
//! however sure it is: a time must be a quarter longer and by half a second, in the median of all ratios of a new to an
//! old value; of losses there must be more on average, by a twentieth of a percent or by one.
//!
//! The price is that one new value can never tell: of twenty earlier runs it is the largest by chance once in 21 times.
//! With twenty earlier runs, twelve figures, noise of 10 to 25 % and a level of 5 %, a doubled time is found within five
//! repeats at least 95 times in 100, also where values have heavy tails (`tests/baseline.rs` in this crate).

mod compare;
mod measurement;
pub mod rank;

pub use compare::{Baseline, Compared, Comparison, Judgement, Sample, compare, repeats_needed};
pub use measurement::{Kind, Measurement, Origin, Place, parse, render};
