//! Cores in clusters, for what scripts cannot express: random schedules with a checker, lying
//! peers, partial connectivity in virtual time, bounds, and inconsistent storage.

#[cfg(test)]
mod basics;
#[cfg(test)]
mod bounds;
#[cfg(test)]
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod learning;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod partial;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reconfiguring;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod slow;
