//! Finds who leads, and asks it until it has answered.

use std::{collections::VecDeque, time::Duration};

use redis_protocol::resp2::types::BytesFrame;
use tokio::time::{Instant, sleep, timeout};

use super::{Listed, OperateError};
use crate::{client::Client, reach::Reach};

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is so; of a transfer, who leads.
    Done(Option<u64>),
    /// It is not so and will not be by this.
    Refused(String),
    /// Nobody knows yet.
    Unknown(String),
}

/// Nodes that may be asked, and until when to look for one.
pub(super) struct Asking {
    reach: Reach,
    /// The one to ask next is the first. Those that were named, and those that nodes have told.
    nodes: VecDeque<String>,
    until: Instant,
    /// What went wrong last.
    last: String,
}

/// What an answer means for the one who asks.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Ends(Asked),
    /// Another node leads, or will: it is to be asked.
    Elsewhere(String),
    /// The same node may be asked again in a moment.
    NotYet(String),
}

impl Asking {
    pub(super) fn new(reach: Reach, nodes: &[String], wait_max: Duration) -> Self {
        Self {
            reach,
            nodes: nodes.iter().cloned().collect(),
            until: Instant::now() + wait_max,
            last: "none was named".into(),
        }
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Who takes part, by the first node that answers and knows a leader; by any, when none is known in time.
    pub(super) async fn list(&mut self) -> Result<Listed, OperateError> {
        let mut found = None;
        loop {
            if let Some(mut client) = self.connect().await {
                match self.listed(&mut client).await? {
                    Some(listed) if listed.members.iter().any(|member| member.leader) => {
                        return Ok(listed);
                    }
                    listed => found = listed.or(found),
                }
            }
            if !self.moves_on().await {
                return found.ok_or_else(|| OperateError::Unreachable(self.last.clone()));
            }
        }
    }

    /// Asks for something that only a leader does.
    pub(super) async fn demand(&mut self, words: &[String]) -> Result<Asked, OperateError> {
        let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        // Whether it may have been begun by somebody whose answer was lost.
        let (mut in_doubt, mut was_reached) = (None, false);
        loop {
            if let Some(mut client) = self.connect().await {
                was_reached = true;
                // How long a change takes only the leader knows.
                let meaning = match client.call(&args).await {
                    Ok(answer) => meaning(&answer),
                    Err(error) => {
                        in_doubt = Some(error.to_string());
                        Meaning::Elsewhere(error.to_string())
                    }
                };
                match meaning {
                    Meaning::Ends(asked) => return Ok(asked),
                    Meaning::NotYet(why) => self.last = why,
                    Meaning::Elsewhere(why) => {
                        if why.contains(GOES_ON) {
                            in_doubt = Some(why.clone());
                        }
                        self.last = why;
                        self.look_for_leader().await?;
                    }
                }
            }
            if !self.moves_on().await {
                let why = self.last.clone();
                return match (in_doubt, was_reached) {
                    (Some(why), _) => Ok(Asked::Unknown(why)),
                    (None, true) => Err(OperateError::Leaderless(why)),
                    (None, false) => Err(OperateError::Unreachable(why)),
                };
            }
        }
    }

    /// The first of the nodes, if it answers at all; another is the first from then on if it does not.
    async fn connect(&mut self) -> Option<Client> {
        let node = self.nodes.front()?.clone();
        let connected = timeout(CONNECT_TIMEOUT, self.reach.connect(&node)).await;
        match connected {
            Ok(Ok(client)) => return Some(client),
            Ok(Err(error)) => self.last = format!("{node}: {error}"),
            Err(_) => self.last = format!("{node}: no answer"),
        }
        self.nodes.rotate_left(1);
        None
    }

    /// Puts the leader in front, as far as any node knows where it is.
    async fn look_for_leader(&mut self) -> Result<(), OperateError> {
        for _ in 0..self.nodes.len() {
            if let Some(mut client) = self.connect().await {
                let listed = self.listed(&mut client).await?;
                if let Some(leader) = listed.as_ref().and_then(Listed::leader) {
                    self.nodes.retain(|node| node != leader);
                    self.nodes.push_front(leader.to_owned());
                    return Ok(());
                }
                self.nodes.rotate_left(1);
            }
        }
        Ok(())
    }

    /// What a node lists. Where clients reach the nodes is remembered.
    async fn listed(&mut self, client: &mut Client) -> Result<Option<Listed>, OperateError> {
        let node = self.nodes.front().cloned().unwrap_or_default();
        let answer = timeout(LIST_TIMEOUT, client.call(&[b"MEMBER", b"LIST"])).await;
        let text = match answer {
            Ok(Ok(BytesFrame::BulkString(text))) => String::from_utf8_lossy(&text).into_owned(),
            Ok(Ok(other)) => {
                return Err(OperateError::Strange(node, format!("{other:?}")));
            }
            Ok(Err(error)) => {
                self.last = format!("{node}: {error}");
                return Ok(None);
            }
            Err(_) => {
                self.last = format!("{node}: no answer");
                return Ok(None);
            }
        };
        let Some(listed) = Listed::read(&text) else {
            return Err(OperateError::Strange(node, text));
        };
        for at in listed
            .members
            .iter()
            .filter_map(|member| member.clients.as_ref())
        {
            if !self.nodes.contains(at) {
                self.nodes.push_back(at.clone());
            }
        }
        Ok(Some(listed))
    }

    /// Waits a moment; whether there is still time.
    async fn moves_on(&self) -> bool {
        sleep(PAUSE).await;
        Instant::now() < self.until
    }
}

fn meaning(answer: &BytesFrame) -> Meaning {
    let text = match answer {
        BytesFrame::SimpleString(text) => {
            let text = String::from_utf8_lossy(text);
            let leader = text.strip_prefix("LEADER ").and_then(|id| id.parse().ok());
            return Meaning::Ends(Asked::Done(leader));
        }
        BytesFrame::Error(text) => text.to_string(),
        other => return Meaning::Ends(Asked::Refused(format!("{other:?}"))),
    };
    // Of a transfer to this very node, asked for a second time perhaps.
    if text.contains(LEADS_ALREADY) {
        return Meaning::Ends(Asked::Done(None));
    }
    let why = text.strip_prefix("REFUSED ").unwrap_or(&text).to_owned();
    if text.contains(NOT_KNOWN) {
        return Meaning::NotYet(why);
    }
    if ELSEWHERE.iter().any(|words| text.contains(words)) {
        return Meaning::Elsewhere(why);
    }
    // This very change, or another: it is not ended by the time of one request.
    if text.contains("the change goes on") {
        return Meaning::Ends(Asked::Unknown(why));
    }
    Meaning::Ends(Asked::Refused(why))
}

/// In the words of `ChangeError`, `TransferError` and `Closed`: what another node, or a later leader, can be asked for.
const ELSEWHERE: [&str; 4] = [
    "does not lead",
    GOES_ON,
    "was removed from the group",
    "the node is shutting down",
];
/// Whoever is asked next finds it done, goes on with it, or begins it.
const GOES_ON: &str = "leads no more";
const LEADS_ALREADY: &str = "leads already";
const NOT_KNOWN: &str = "does not know yet";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const LIST_TIMEOUT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use synod_replica::{ChangeEnd, ChangeError, NodeId, TransferError};

    use super::*;

    fn refused(error: &ChangeError) -> Meaning {
        meaning(&BytesFrame::Error(format!("REFUSED {error}").into()))
    }

    #[test]
    fn an_answer_ends_it_or_says_who_is_to_be_asked() {
        let ok = BytesFrame::SimpleString("OK".into());
        assert_eq!(meaning(&ok), Meaning::Ends(Asked::Done(None)));
        let leads = BytesFrame::SimpleString("LEADER 3".into());
        assert_eq!(meaning(&leads), Meaning::Ends(Asked::Done(Some(3))));
        for error in [
            ChangeError::NotLeader(None),
            ChangeError::LeaderLost(Some(NodeId(2))),
        ] {
            assert!(matches!(refused(&error), Meaning::Elsewhere(_)), "{error}");
        }
        assert!(matches!(
            refused(&ChangeError::NotReady),
            Meaning::NotYet(_)
        ));
        assert!(matches!(
            refused(&ChangeError::GoesOn),
            Meaning::Ends(Asked::Unknown(_))
        ));
        let itself = format!("REFUSED {}", TransferError::Itself);
        let itself = meaning(&BytesFrame::Error(itself.into()));
        assert_eq!(itself, Meaning::Ends(Asked::Done(None)));
        for error in [
            ChangeError::UnderWay,
            ChangeError::NoVoters,
            ChangeError::IdUsed(NodeId(3)),
            ChangeError::Ended(ChangeEnd::Aborted),
            ChangeError::TooLate,
        ] {
            let expected = Meaning::Ends(Asked::Refused(error.to_string()));
            assert_eq!(refused(&error), expected);
        }
    }
}
