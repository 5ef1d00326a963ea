//! The core in clusters, where a script would not do: random schedules under an outside checker,
//! liars, partial connectivity in virtual time, bounds, and storage that contradicts itself.

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
mod partial;
#[cfg(test)]
mod random;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod slow;
