//! The core in clusters: random schedules under an outside checker, and one scenario for each bug
//! that a Raft implementation is known to have had.

#[cfg(test)]
mod checker;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod elections;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod node;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod snapshots;
