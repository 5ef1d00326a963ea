//! Which messages a command is about: `2->3`, `2->*`, `*->3`, `Vote`, `2->3:Vote`; several with
//! commas between them, of which one suffices.

use super::cast::Cast;
use super::core::PacketOf;
use crate::script::parse_number;

#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    any_of: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    from: Option<u64>,
    to: Option<u64>,
    name: Option<String>,
}

impl Selector {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse<P: Cast>(text: &str) -> Result<Self, String> {
        let any_of = text
            .split(',')
            .map(Pattern::parse::<P>)
            .collect::<Result<_, _>>()?;
        Ok(Self { any_of })
    }

    pub(super) fn matches<P: Cast>(&self, packet: &PacketOf<P>) -> bool {
        self.any_of
            .iter()
            .any(|pattern| pattern.matches::<P>(packet))
    }
}

impl Pattern {
    fn parse<P: Cast>(text: &str) -> Result<Self, String> {
        let (link, name) = match text.split_once(':') {
            Some((link, name)) => (Some(link), Some(name)),
            None if text.contains("->") => (Some(text), None),
            None => (None, Some(text)),
        };
        let (from, to) = match link {
            None => (None, None),
            Some(link) => parse_link(link)?,
        };
        if let Some(name) = name.filter(|name| !P::MESSAGES.contains(name)) {
            return Err(format!("there is no message `{name}`"));
        }
        let name = name.map(str::to_owned);
        Ok(Self { from, to, name })
    }

    fn matches<P: Cast>(&self, packet: &PacketOf<P>) -> bool {
        let name = self.name.as_deref();
        self.from.is_none_or(|from| from == P::number(packet.from))
            && self.to.is_none_or(|to| to == P::number(packet.to))
            && name.is_none_or(|name| name == P::message_name(&packet.message))
    }
}

/// `2->3`; `*` for any node.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_link(text: &str) -> Result<(Option<u64>, Option<u64>), String> {
    let ends = text.split_once("->");
    let (from, to) = ends.ok_or_else(|| format!("`{text}` is no link like 2->3"))?;
    let end = |text: &str| match text {
        "*" => Ok(None),
        text => parse_number(text).map(Some),
    };
    Ok((end(from)?, end(to)?))
}
