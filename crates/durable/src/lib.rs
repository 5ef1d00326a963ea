#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod few;
mod outbox;
mod receipt;
mod write;

#[doc = include_str!("../MISTAKES.md")]
pub mod mistakes {}

pub use few::Few;
pub use outbox::{Coalesce, Outbox, Record};
pub use receipt::{Durable, Receipt, Refused};
pub use write::{Staged, Write};
