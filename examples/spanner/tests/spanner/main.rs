//! Shards, leaders and clients together: stories that are written, and runs that are drawn.

#![expect(clippy::unwrap_used, reason = "a test")]

mod random;
