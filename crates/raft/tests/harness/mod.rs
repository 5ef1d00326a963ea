//! Nodes as a driver runs them, on disks and a network that do nothing on their own: a test decides
//! what is delivered, what becomes durable and which nodes crash. Used by the scripts, the claims
//! of the paper and the random schedules.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod cluster;
pub(crate) mod core;
pub(crate) mod disk;
pub(crate) mod notation;
pub(crate) mod watch;
