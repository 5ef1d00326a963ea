//! Why a node, or one of its groups, no longer serves anything: reported once, with the first
//! reason.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::watch;

use crate::drive::Stopped;
use crate::machine::Reason;
use crate::protocol::Divergence;

/// Why a node, or one of its groups, no longer serves anything; see
/// [`Node::closed`](crate::Node::closed) and [`Group::closed`](crate::Group::closed).
///
/// It is displayed with all its causes. Only a restart of the process opens again what was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The node was asked to stop, its handle was dropped, or its tokio runtime has ended.
    Shutdown,
    /// The log failed or cannot be read, so nothing that depends on it may be acknowledged.
    Log(Cause),
    /// The machine failed; for example, a snapshot could not be restored.
    Machine(Cause),
    /// User code panicked with this message: the machine, a closure that reads it, or a ticket.
    MachinePanicked(Arc<str>),
    /// The state of this node contradicts what its group has decided.
    Diverged(Cause),
    /// This node was removed from the group by a change of its members. Nothing is wrong with it; its id
    /// never returns.
    Removed,
    /// What this node had of the group was destroyed, see [`Node::destroy`](crate::Node::destroy).
    Destroyed,
    /// The transport ended by itself: no peer can be reached any more.
    Transport,
    /// The node's loop panicked with this message: a bug in this library, a log or a transport.
    Panicked(Arc<str>),
}

impl Closed {
    /// The reason with which requests are rejected from now on.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Shutdown => Reason::Shutdown,
            Self::Log(_) => Reason::Poisoned,
            Self::Machine(_) | Self::MachinePanicked(_) => Reason::Machine,
            Self::Diverged(_) => Reason::Diverged,
            Self::Removed | Self::Destroyed => Reason::Removed,
            Self::Transport => Reason::Transport,
            Self::Panicked(_) => Reason::Panicked,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown => f.write_str("it was shut down"),
            Self::Log(cause) => write!(f, "storage failed: {cause}"),
            Self::Machine(cause) => write!(f, "the machine cannot go on: {cause}"),
            Self::MachinePanicked(message) => write!(f, "the machine panicked: {message}"),
            Self::Diverged(cause) => write!(f, "this node has diverged: {cause}"),
            Self::Removed => f.write_str("this node was removed from the group"),
            Self::Destroyed => f.write_str("what this node had of the group was destroyed"),
            Self::Transport => f.write_str("the transport has ended"),
            Self::Panicked(message) => write!(f, "the node's loop panicked: {message}"),
        }
    }
}

impl Error for Closed {}

impl From<Stopped> for Closed {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Log(error) => Self::Log(Cause::new(error)),
            Stopped::Apply(error) => Self::Machine(Cause::new(error)),
            Stopped::Panicked(message) => Self::MachinePanicked(message),
            Stopped::Diverged(Divergence::Removed) => Self::Removed,
            Stopped::Diverged(why) => Self::Diverged(Cause::new(why)),
        }
    }
}

/// A shared error. It is displayed with all its sources; it equals only itself and its clones.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Wraps an error together with its sources.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// The wrapped error.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cause {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WithCauses(&*self.0).fmt(f)
    }
}

/// Displays an error and all its sources in one line: often only the last one says what is wrong.
pub(crate) struct WithCauses<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut cause, mut between) = (Some(self.0), "");
        while let Some(error) = cause {
            write!(f, "{between}{error}")?;
            between = ": ";
            cause = error.source();
        }
        Ok(())
    }
}

/// Publishes the end of a node. Only the first reason is kept: later ones are its consequences.
pub(crate) struct Told(watch::Sender<Option<Closed>>);

impl Told {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn listen(&self) -> watch::Receiver<Option<Closed>> {
        self.0.subscribe()
    }

    pub(crate) fn tell(&self, closed: &Closed) {
        self.0.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert_with(|| closed.clone());
            first
        });
    }

    pub(crate) fn reason(&self) -> Option<Closed> {
        self.0.borrow().clone()
    }
}

/// Waits for the end that [`Told`] publishes.
pub(crate) async fn wait(mut told: watch::Receiver<Option<Closed>>) -> Closed {
    let closed = told.wait_for(Option::is_some).await;
    // The loop ends without a reason only if its tokio runtime ends.
    closed
        .ok()
        .and_then(|closed| closed.clone())
        .unwrap_or(Closed::Shutdown)
}

/// Runs code that may panic and whose state is not used after a panic; returns the panic's message
/// as the error.
pub(crate) fn caught<R>(run: impl FnOnce() -> R) -> Result<R, Arc<str>> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogError;

    #[test]
    fn an_end_is_shown_with_all_its_causes() {
        let error = LogError::Failed(Box::new(std::io::Error::other("the medium is gone")));
        let closed = Closed::from(Stopped::Log(error));
        assert_eq!(
            closed.to_string(),
            "storage failed: the log has failed: the medium is gone"
        );
        assert_eq!(closed.reason(), Reason::Poisoned);
        assert_eq!(closed, closed.clone());
    }

    #[test]
    fn a_panic_is_told_by_its_message() {
        assert_eq!(caught(|| 1), Ok(1));
        let number = 7;
        assert_eq!(
            caught(|| panic!("boom {number}")).map(|(): ()| ()),
            Err("boom 7".into())
        );
        assert_eq!(
            caught(|| std::panic::panic_any(7)).map(|(): ()| ()),
            Err("without a message".into())
        );
    }

    #[test]
    fn the_first_reason_stands() {
        let told = Told::new();
        told.tell(&Closed::Transport);
        told.tell(&Closed::Shutdown);
        assert_eq!(told.reason(), Some(Closed::Transport));
    }
}
