//! Cores in clusters, for what scripts cannot express: random schedules with a checker, lying
//! peers, slow links and disks in virtual time, bounds, and inconsistent storage.

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
mod leases;
#[cfg(test)]
mod membership;
#[cfg(test)]
mod random;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod witnesses;
