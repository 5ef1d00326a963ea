//! The core in clusters: random schedules under an outside checker, and one scenario for each bug
//! that a Raft implementation is known to have had.

#[cfg(test)]
mod elections;
#[cfg(test)]
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod snapshots;
