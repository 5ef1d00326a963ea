//! Clocks that go wrong in every way, in a world that knows the true time.
//!
//! For the tests of what is built on this crate, as it is for its own: hence public, and behind a
//! feature. All of it is deterministic: equal seeds and equal calls give equal readings.
//!
//! - [`World`] has the true time, which moves when it is told to.
//! - [`Machine`] has the [`Clocks`](crate::Clocks) of one node: an oscillator whose frequency walks at
//!   random within its bound, and what [`Fault`]s do to it.
//! - [`Reference`] is a [`Source`](crate::Source) that knows the true time up to a bound, takes a while to
//!   answer, and may [`lie`](Reference::lie).
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
