//! Simulated clocks with all kinds of faults, in a world with a known true time.
//!
//! For the tests of this crate and of code that uses it, hence public behind a feature. Everything
//! is deterministic: equal seeds and equal calls give equal readings.
//!
//! - [`World`] holds the true time, which advances by explicit calls.
//! - [`Machine`] has the [`Clocks`](crate::Clocks) of one node: an oscillator whose frequency is a
//!   random walk within its bound, and the effects of [`Fault`]s.
//! - [`Reference`] is a [`Source`](crate::Source) that returns the true time within a bound, after a
//!   simulated delay, and may [`lie`](Reference::lie).
//! - [`Offset`] is a [`TrueTime`](crate::TrueTime) clock that is off by a given amount and claims a given
//!   bound, rightly or wrongly.
//!
//! ```
//! use core::time::Duration;
//! use synod_truetime::sim::{Fault, Machine, Reference, World};
//! use synod_truetime::{Config, Disciplined, Disruption, TimeError, TrueTime};
//!
//! let world = World::new(42);
//! let machine = Machine::new(&world, 100);
//! let clock = Disciplined::new(Reference::new(&machine, Duration::from_millis(1)), &machine, Config::default());
//! clock.poll()?;
//! machine.strike(Fault::Suspend(Duration::from_secs(3)));
//! assert_eq!(clock.now(), Err(TimeError::Disrupted(Disruption::Suspended)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod machine;
mod offset;
mod reference;
mod rng;
mod world;

pub use machine::{Fault, Machine};
pub use offset::Offset;
pub use reference::Reference;
pub use world::World;
