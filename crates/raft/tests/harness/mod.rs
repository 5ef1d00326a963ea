//! Nodes as a driver runs them, on disks and a network that do nothing by themselves: a test says
//! what is delivered, what becomes durable and who crashes. The scripts, the claims of the paper
//! and the random schedules all use it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod cluster;
pub(crate) mod core;
pub(crate) mod disk;
pub(crate) mod notation;
pub(crate) mod watch;
