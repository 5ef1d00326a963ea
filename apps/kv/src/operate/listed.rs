//! What `MEMBER LIST` answers, read.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Who takes part, by a node that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Listed {
    pub(super) members: Vec<ListedMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<ListedChange>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ListedMember {
    pub(super) id: u64,
    /// `voter` or `learner`
    pub(super) side: String,
    /// Where its peers reach it, if anybody knows.
    pub(super) address: Option<String>,
    /// Where clients reach it, if it has said so.
    pub(super) clients: Option<String>,
    pub(super) leader: bool,
}

/// A change that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ListedChange {
    pub(super) phase: String,
    pub(super) voters: Vec<u64>,
    pub(super) learners: Vec<u64>,
    /// New voters, and the last entry that each is known to hold.
    pub(super) catching_up: BTreeMap<u64, u64>,
}

impl Listed {
    /// `None` when it is no such answer.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (mut members, mut change) = (Vec::new(), None);
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            match &words[..] {
                ["change", phase, rest @ ..] => change = Some(ListedChange::read(phase, rest)?),
                [id, side, address, rest @ ..] => {
                    let named = |name: &str| {
                        let found = rest.iter().find_map(|word| word.strip_prefix(name));
                        found.map(str::to_owned)
                    };
                    members.push(ListedMember {
                        id: id.parse().ok()?,
                        side: (*side).to_owned(),
                        address: (*address != "?").then(|| (*address).to_owned()),
                        clients: named("clients="),
                        leader: rest.contains(&"leader"),
                    });
                }
                _ => return None,
            }
        }
        Some(Self { members, change })
    }

    /// Where clients reach the node that leads, if that is known.
    pub(super) fn leader(&self) -> Option<&str> {
        let leader = self.members.iter().find(|member| member.leader)?;
        leader.clients.as_deref()
    }
}

impl ListedChange {
    fn read(phase: &str, rest: &[&str]) -> Option<Self> {
        let mut change = Self {
            phase: phase.to_owned(),
            voters: Vec::new(),
            learners: Vec::new(),
            catching_up: BTreeMap::new(),
        };
        for word in rest {
            let (name, value) = word.split_once('=')?;
            match name {
                "voters" => change.voters = ids(value)?,
                "learners" => change.learners = ids(value)?,
                "catching_up" => {
                    let (id, holds) = value.split_once(':')?;
                    change
                        .catching_up
                        .insert(id.parse().ok()?, holds.parse().ok()?);
                }
                _ => {}
            }
        }
        Some(change)
    }
}

fn ids(text: &str) -> Option<Vec<u64>> {
    let ids = text.split(',').filter(|id| !id.is_empty());
    ids.map(|id| id.parse().ok()).collect()
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<6} {:<8} {:<24} {:<24}",
            "node", "counts", "peers", "clients"
        )?;
        for member in &self.members {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".into());
            let counts = if member.side == "voter" {
                "yes"
            } else {
                "not yet"
            };
            write!(
                f,
                "\n{:<6} {counts:<8} {:<24} {:<24}{}",
                member.id,
                or_none(&member.address),
                or_none(&member.clients),
                if member.leader { " leads" } else { "" }
            )?;
        }
        match &self.change {
            Some(change) => write!(f, "\n{change}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ListedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ids: &[u64]| {
            let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
            ids.join(", ")
        };
        write!(
            f,
            "under way ({}): to voters {}",
            self.phase,
            list(&self.voters)
        )?;
        if !self.learners.is_empty() {
            write!(f, ", learners {}", list(&self.learners))?;
        }
        for (id, holds) in &self.catching_up {
            write!(f, "; node {id} holds {holds}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_lists_is_read() {
        let text = "1 voter h:1 clients=h:6379 leader\n2 voter ?\n4 learner i:1\n\
                    change CatchingUp voters=1,2,4 learners= catching_up=4:17\n";
        let listed = Listed::read(text).unwrap();
        assert_eq!(listed.leader(), Some("h:6379"));
        let json = serde_json::to_string(&listed).unwrap();
        let expected = concat!(
            r#"{"members":[{"id":1,"side":"voter","address":"h:1","clients":"h:6379","leader":true},"#,
            r#"{"id":2,"side":"voter","address":null,"clients":null,"leader":false},"#,
            r#"{"id":4,"side":"learner","address":"i:1","clients":null,"leader":false}],"#,
            r#""change":{"phase":"CatchingUp","voters":[1,2,4],"learners":[],"catching_up":{"4":17}}}"#
        );
        assert_eq!(json, expected);
        let shown = listed.to_string();
        assert!(
            shown.contains("h:6379") && shown.contains(" leads"),
            "{shown}"
        );
        assert!(
            shown.ends_with("to voters 1, 2, 4; node 4 holds 17"),
            "{shown}"
        );
        assert_eq!(Listed::read("x"), None);
        assert_eq!(Listed::read("change Deciding voters=x"), None);
    }
}
