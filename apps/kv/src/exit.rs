//! How a node ended, as its exit status tells a supervisor.

use synod_replica::Closed;

/// What `kv serve` ended of. A supervisor starts a node again that failed; one that diverged or
/// forgot it leaves alone, as another incarnation would only repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum ExitStatus {
    /// It was told to stop, and did so in order.
    Stopped = 0,
    /// It did not start: a directory in use, a port that is taken, a damaged log. Of the other
    /// commands: they failed, or their verdict is no.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Writing, syncing or reading its log failed.
    Storage = 3,
    /// Applying a command failed or panicked: it does so in each incarnation, until the program is another.
    Machine = 4,
    /// What it holds contradicts the group, or what it acknowledged is gone.
    Diverged = 5,
    /// Something else of the program ended or panicked.
    Broken = 6,
    /// It was removed from its cluster: its id never returns, and there is nothing to start again.
    Removed = 7,
    /// Of the commands that change a cluster: nobody knows yet whether it is done. To ask again is safe.
    Unknown = 8,
}

impl From<&Closed> for ExitStatus {
    fn from(closed: &Closed) -> Self {
        match closed {
            Closed::Log(_) => Self::Storage,
            Closed::Machine(_) | Closed::MachinePanicked(_) => Self::Machine,
            Closed::Diverged(_) => Self::Diverged,
            Closed::Removed => Self::Removed,
            // Nobody asked for a shutdown, else there would be no such error.
            _ => Self::Broken,
        }
    }
}

/// For `--help`.
pub(crate) const STATUSES: &str = "Exit status:
  0  stopped in order
  1  did not start
  2  the command line makes no sense
  3  its storage failed
  4  applying a command failed or panicked
  5  what it holds contradicts the group, or what it acknowledged is gone
  6  something else of the program ended or panicked
  7  it was removed from its cluster";

/// The same of the commands that ask a cluster.
pub(crate) const ASKED_STATUSES: &str = "Exit status:
  0  it is done, or told
  1  it was refused and nothing has changed, no node answers, or none leads; of `status`: a node is not well
  2  the command line makes no sense
  8  nobody knows yet whether it is done: to ask again for the same is safe";

#[cfg(test)]
mod tests {
    use synod_replica::Cause;

    use super::*;

    #[test]
    fn each_end_has_its_own_status_and_help_tells_it() {
        let cause = || Cause::new(std::io::Error::other("oh"));
        for (closed, status) in [
            (Closed::Log(cause()), ExitStatus::Storage),
            (Closed::Machine(cause()), ExitStatus::Machine),
            (Closed::Diverged(cause()), ExitStatus::Diverged),
            (Closed::MachinePanicked("oh".into()), ExitStatus::Machine),
            (Closed::Panicked("oh".into()), ExitStatus::Broken),
            (Closed::Removed, ExitStatus::Removed),
            (Closed::Transport, ExitStatus::Broken),
            (Closed::Shutdown, ExitStatus::Broken),
        ] {
            assert_eq!(ExitStatus::from(&closed), status);
        }
        for status in ExitStatus::Stopped as u8..=ExitStatus::Removed as u8 {
            assert!(STATUSES.contains(&format!("\n  {status}  ")));
        }
    }
}
