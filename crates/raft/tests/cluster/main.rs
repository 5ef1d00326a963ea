//! The core in clusters, where a script would not do: random schedules under an outside checker,
//! liars, slow links and disks in virtual time, bounds, and storage that contradicts itself.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod elections;
#[cfg(test)]
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod random;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod snapshots;
