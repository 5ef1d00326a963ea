//! The user's handle to a group.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use synod_transport::NodeId;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::change::{self, Asked};
use crate::closed::Closed;
use crate::consistency::Consistency;
use crate::engine::Proposal;
use crate::handover::{Ended, TransferError};
use crate::machine::{Failure, Reason, StateMachine, Ticket};
use crate::members::{Change, ChangeError, Members};
use crate::status::{Status, StatusWatch};
use crate::time::Instant;

/// A handle to a group on this node. Clones are handles to the same group; the group lives as long
/// as its node.
///
/// Every node of the group accepts requests: a follower forwards them to the leader.
pub struct Group<S: StateMachine> {
    inbox: Inbox<S>,
    status: watch::Receiver<Status>,
    timeout: Duration,
}

impl<S: StateMachine> Group<S> {
    pub(crate) fn new(inbox: Inbox<S>, status: watch::Receiver<Status>, timeout: Duration) -> Self {
        Self {
            inbox,
            status,
            timeout,
        }
    }

    /// Returns a handle to the same group whose requests end within `timeout`.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// Proposes a command. It is queued before this returns, and commands proposed on one node are
    /// applied in the order of the calls. The future only waits for the outcome; dropping it does
    /// not cancel the command.
    pub fn propose(&self, command: impl Into<Bytes>) -> Answer<S::Response> {
        let (to, answer) = oneshot::channel();
        self.push(command.into(), Waiter::Propose(to));
        Answer(answer)
    }

    /// Like [`propose`](Self::propose), but delivers outcomes in order: calls `then` on the thread
    /// of the node's loop, in the order in which this node's commands were applied. A command that
    /// was overtaken ends before the one that overtook it. Futures lose that order: a task that
    /// awaits two of them may be woken for either first.
    ///
    /// `then` is called exactly once. It should be quick, like everything that [runs in the
    /// loop](crate#what-runs-in-the-loop), and must not panic. A rejection that needs no loop, such
    /// as a full queue, is delivered within this call.
    pub fn propose_with(
        &self,
        command: impl Into<Bytes>,
        then: impl FnOnce(Result<S::Response, Failure>) + Send + 'static,
    ) {
        let then = Then(Some(Box::new(then)));
        self.push(command.into(), Waiter::ProposeWith(then));
    }

    fn push(&self, command: Bytes, ticket: Waiter<S>) {
        let bytes = command.len();
        let request = Request::Propose(Proposal {
            command,
            deadline: self.deadline(),
            ticket,
        });
        self.inbox.push(request, bytes);
    }

    /// Reads the state machine on this node. `with` runs on the thread of the node's loop and
    /// should be quick.
    ///
    /// Requests are bounded in number and commands in bytes, but the memory that `with` owns is not
    /// counted. It is held until the read ends, even if the answer is dropped earlier, so share
    /// large buffers instead of moving them in.
    pub fn read<R: Send + 'static>(
        &self,
        consistency: Consistency,
        with: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Answer<R> {
        self.read_with_age(consistency, move |machine, _| with(machine))
    }

    /// Like [`read`](Self::read), and tells how old the state is at most when it is read: it has every
    /// write that had ended that long ago, by the clock of this node. `None` if nothing is known: this
    /// node has not asked since it was started.
    ///
    /// The age counts from the sending of the last question whose answer the machine has reached. A stale
    /// read asks nothing, so on an idle node its age grows; a [bounded](Consistency::Bounded) one asks when
    /// it must.
    pub fn read_with_age<R: Send + 'static>(
        &self,
        consistency: Consistency,
        with: impl FnOnce(&S, Option<Duration>) -> R + Send + 'static,
    ) -> Answer<R> {
        let (to, answer) = oneshot::channel();
        let clock = self.inbox.clock;
        let look: Look<S> = Box::new(move |machine| {
            // An error means that the caller no longer waits.
            let _gone = to.send(match machine {
                Ok((machine, fresh)) => {
                    let age = fresh.map(|at| clock.now().since(at));
                    Ok(with(machine, age))
                }
                Err(failure) => Err(failure),
            });
        });
        self.inbox.push(
            Request::Read(consistency, self.deadline(), Waiter::Read(look)),
            0,
        );
        Answer(answer)
    }

    /// Hands leadership to `to`, or to the node that suits best, if this node leads. Ends when another node
    /// is known to lead, which is returned, or when the transfer was given up: after an election timeout
    /// this node leads on as before. Meanwhile commands wait, and reads are served.
    ///
    /// Asked again for the same target it is the same transfer; dropping the future does not end it.
    pub fn transfer(
        &self,
        to: Option<NodeId>,
    ) -> impl Future<Output = Result<NodeId, TransferError>> + Send + 'static {
        let (ended, end) = oneshot::channel();
        let request = Request::Transfer(to, self.deadline(), ended);
        self.inbox.push(request, 0);
        let status = self.status.clone();
        async move {
            // The loop is gone with the request in it.
            end.await.unwrap_or_else(|_| {
                let closed = status.borrow().closed.as_ref().map(Closed::reason);
                Err(TransferError::Closed(closed.unwrap_or(Reason::Shutdown)))
            })
        }
    }

    /// The members of the group that this node knows: those that its log names last.
    pub fn members(&self) -> Arc<Members> {
        self.status.borrow().members.clone()
    }

    /// Changes the members; to be asked of the leader. The future ends when the change has, or with the
    /// timeout of this handle, which should be one that allows new voters to receive what the group
    /// holds. The change goes on when the future is dropped, when its time is up, and, once it is in the
    /// log, under any later leader. To ask for it again, of whoever leads, is safe.
    ///
    /// A new node is started first, with an empty directory and a configuration that joins; it waits
    /// until it is added. Before a change, each member should be given an address, see [`Member`]:
    /// whoever joins learns the others' from the log.
    ///
    /// [`Member`]: crate::Member
    pub fn change_members(
        &self,
        change: Change,
    ) -> impl Future<Output = Result<(), ChangeError>> + Send + 'static {
        self.ask(Asked::Change(change))
    }

    /// Leads the change that is under way back to the members from before, for example because new nodes
    /// have died; to be asked of the leader.
    pub fn abort_change(&self) -> impl Future<Output = Result<(), ChangeError>> + Send + 'static {
        self.ask(Asked::Abort)
    }

    fn ask(&self, asked: Asked) -> impl Future<Output = Result<(), ChangeError>> + Send + 'static {
        let (ended, end) = oneshot::channel();
        let request = Request::Change(asked, self.deadline(), ended);
        self.inbox.push(request, 0);
        let status = self.status.clone();
        async move {
            // The loop is gone with the request in it.
            end.await.unwrap_or_else(|_| {
                let closed = status.borrow().closed.as_ref().map(Closed::reason);
                Err(ChangeError::Closed(closed.unwrap_or(Reason::Shutdown)))
            })
        }
    }

    /// The group's status, as of the last turn of the node's loop.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The group's status, with a way to wait for changes.
    pub fn watch(&self) -> StatusWatch {
        StatusWatch(self.status.clone())
    }

    /// Resolves when this group no longer serves anything on this node, with the reason: either the
    /// node [has closed](crate::Node::closed), or this group alone has, for example because its
    /// machine panicked. Later requests are rejected with [`Closed::reason`].
    pub fn closed(&self) -> impl Future<Output = Closed> + Send + 'static {
        let mut status = self.status.clone();
        async move {
            let closed = status.wait_for(|status| status.closed.is_some()).await;
            // The loop publishes the reason before it drops a group.
            let closed = closed.ok().and_then(|status| status.closed.clone());
            closed.unwrap_or(Closed::Shutdown)
        }
    }

    /// Waits until this node knows a leader; `None` if the group is closed first.
    pub async fn leader(&self) -> Option<NodeId> {
        let mut status = self.status.clone();
        let known = status
            .wait_for(|status| status.leader.is_some() || status.closed.is_some())
            .await
            .ok()?;
        known.leader
    }

    fn deadline(&self) -> Instant {
        self.inbox.clock.now() + self.timeout
    }
}

impl<S: StateMachine> Clone for Group<S> {
    fn clone(&self) -> Self {
        Self {
            inbox: self.inbox.clone(),
            status: self.status.clone(),
            timeout: self.timeout,
        }
    }
}

impl<S: StateMachine> fmt::Debug for Group<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

/// The outcome of a request, as a future. The request makes progress without polling, and dropping
/// this does not cancel it.
#[must_use = "without awaiting it, the outcome of the request is unknown"]
#[derive(Debug)]
pub struct Answer<R>(oneshot::Receiver<Result<R, Failure>>);

impl<R> Future for Answer<R> {
    type Output = Result<R, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, Failure>> {
        // The sender is dropped only if the loop ended with the request in it.
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(Failure::Unknown)))
    }
}

/// A node's clock: time since the node was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            epoch: tokio::time::Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant(self.epoch.elapsed())
    }

    /// Converts a moment to the standard library's clock.
    pub(crate) fn std(&self, instant: Instant) -> std::time::Instant {
        self.at(instant).into_std()
    }

    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        // A deadline too far away to be represented is replaced by one in a day, when the waiter
        // checks again.
        self.epoch
            .checked_add(instant.0)
            .unwrap_or_else(|| tokio::time::Instant::now() + A_DAY)
    }
}

/// A request from a handle to the loop.
pub(crate) enum Request<T> {
    Propose(Proposal<T>),
    Read(Consistency, Instant, T),
    Transfer(Option<NodeId>, Instant, Ended),
    Change(Asked, Instant, change::Ended),
}

impl<T> Request<T> {
    /// Nothing of it was done.
    fn reject<S: StateMachine>(self, reason: Reason)
    where
        T: Ticket<S>,
    {
        let leader = None;
        match self {
            Self::Propose(Proposal { ticket, .. }) | Self::Read(_, _, ticket) => {
                ticket.failed(Failure::Rejected { reason, leader });
            }
            Self::Transfer(_, _, ended) => {
                let _gone = ended.send(Err(TransferError::Closed(reason)));
            }
            Self::Change(_, _, ended) => {
                let _gone = ended.send(Err(ChangeError::Closed(reason)));
            }
        }
    }
}

type Look<S> = Box<dyn FnOnce(Result<(&S, Option<Instant>), Failure>) + Send>;

/// The callback of a proposal. If it is dropped uncalled, it reports `Unknown`.
pub(crate) struct Then<R>(Option<Box<OnEnd<R>>>);

type OnEnd<R> = dyn FnOnce(Result<R, Failure>) + Send;

impl<R> Then<R> {
    fn end(mut self, end: Result<R, Failure>) {
        if let Some(then) = self.0.take() {
            then(end);
        }
    }
}

impl<R> Drop for Then<R> {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then(Err(Failure::Unknown));
        }
    }
}

/// Every kind of ticket that a running node holds.
pub(crate) enum Waiter<S: StateMachine> {
    Propose(oneshot::Sender<Result<S::Response, Failure>>),
    ProposeWith(Then<S::Response>),
    Read(Look<S>),
}

impl<S: StateMachine> Ticket<S> for Waiter<S> {
    fn applied(self, response: S::Response) {
        match self {
            Self::Propose(to) => {
                let _gone = to.send(Ok(response));
            }
            Self::ProposeWith(then) => then.end(Ok(response)),
            Self::Read(_) => {}
        }
    }

    fn read(self, machine: &S, fresh: Option<Instant>) {
        if let Self::Read(look) = self {
            look(Ok((machine, fresh)));
        }
    }

    fn failed(self, failure: Failure) {
        match self {
            Self::Propose(to) => {
                let _gone = to.send(Err(failure));
            }
            Self::ProposeWith(then) => then.end(Err(failure)),
            Self::Read(look) => look(Err(failure)),
        }
    }
}

/// The sending side of the loop's request queue, bounded in number by the channel and in bytes by
/// `queued_bytes`.
pub(crate) struct Inbox<S: StateMachine> {
    pub(crate) to: mpsc::Sender<(Request<Waiter<S>>, usize)>,
    pub(crate) queued_bytes: Arc<AtomicUsize>,
    pub(crate) queued_bytes_max: usize,
    pub(crate) wake: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) status: watch::Receiver<Status>,
}

impl<S: StateMachine> Inbox<S> {
    fn push(&self, request: Request<Waiter<S>>, bytes: usize) {
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let refused = if bytes > self.queued_bytes_max {
            Some((request, Reason::TooLarge))
        } else if queued + bytes > self.queued_bytes_max {
            Some((request, Reason::Busy))
        } else {
            match self.to.try_send((request, bytes)) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Full((request, _))) => Some((request, Reason::Busy)),
                Err(mpsc::error::TrySendError::Closed((request, _))) => {
                    Some((request, self.ended()))
                }
            }
        };
        match refused {
            None => self.wake.notify_one(),
            Some((request, reason)) => {
                self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                request.reject(reason);
            }
        }
    }
}

impl<S: StateMachine> Inbox<S> {
    /// Why the loop has ended.
    fn ended(&self) -> Reason {
        let closed = &self.status.borrow().closed;
        closed.as_ref().map_or(Reason::Shutdown, Closed::reason)
    }
}

impl<S: StateMachine> Clone for Inbox<S> {
    fn clone(&self) -> Self {
        Self {
            to: self.to.clone(),
            queued_bytes: self.queued_bytes.clone(),
            queued_bytes_max: self.queued_bytes_max,
            wake: self.wake.clone(),
            clock: self.clock,
            status: self.status.clone(),
        }
    }
}

const A_DAY: Duration = Duration::from_secs(86_400);
