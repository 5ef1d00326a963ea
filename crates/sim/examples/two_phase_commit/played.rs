//! A stage for scripts about the protocol: what is said lies on the table until it is delivered.

use synod_sim::script::{Arguments, Stage, parse_number};

use crate::protocol::{Message, Node, PARTICIPANTS};

/// The nodes by their numbers, 0 being the coordinator, and what is on its way.
#[derive(Debug)]
pub(crate) struct Table {
    nodes: Vec<Node>,
    net: Vec<Message>,
    lines: Vec<String>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            nodes: Node::group(PARTICIPANTS),
            net: Vec::new(),
            lines: Vec::new(),
        }
    }
}

impl Stage for Table {
    fn play(&mut self, command: &str) -> Result<(), String> {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let mut arguments = Arguments::parse(rest);
        match name {
            "begin" => self.happens(0, Node::begin),
            "give-up" => self.at(&mut arguments, Node::give_up)?,
            "crash" => self.at(&mut arguments, |node| {
                *node = Node::Gone;
                Vec::new()
            })?,
            "deliver" => self.deliver(&mut arguments)?,
            "expect" => self.expect(&mut arguments)?,
            _ => return Err(format!("there is no command `{name}`")),
        }
        arguments.end()
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}

impl Table {
    fn at(
        &mut self,
        arguments: &mut Arguments<'_>,
        input: impl FnOnce(&mut Node) -> Vec<Message>,
    ) -> Result<(), String> {
        let number = self.number(arguments)?;
        self.happens(number, input);
        Ok(())
    }

    fn number(&self, arguments: &mut Arguments<'_>) -> Result<usize, String> {
        let number = parse_number(arguments.positional().ok_or("to whom?")?)?;
        let number = usize::try_from(number).map_err(|error| error.to_string())?;
        let known = self.nodes.get(number).map(|_| number);
        known.ok_or_else(|| format!("there is no node {number}"))
    }

    fn happens(&mut self, number: usize, input: impl FnOnce(&mut Node) -> Vec<Message>) {
        let before = self.nodes[number].clone();
        let said = input(&mut self.nodes[number]);
        self.lines
            .extend(said.iter().map(|said| format!("{number} says {said}")));
        self.net.extend(said);
        let after = &self.nodes[number];
        if before.decided() != after.decided() {
            let decided = after.decided();
            self.lines
                .extend(decided.map(|what| format!("{number} knows: {what:?}")));
        }
    }

    /// Everything that the node hears, in the order in which it was said.
    fn deliver(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let number = self.number(arguments)?;
        let heard = self.net.iter().copied();
        let heard = heard.filter(|message| self.nodes[number].hears(*message));
        for message in heard.collect::<Vec<_>>() {
            self.lines.push(format!("{number} hears {message}"));
            self.happens(number, |node| node.handle(message));
        }
        Ok(())
    }

    /// `expect 1 in doubt`, `expect 1 done`.
    fn expect(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let number = self.number(arguments)?;
        let in_doubt = self.nodes[number].is_in_doubt();
        let wanted = arguments.flag("in") && arguments.flag("doubt");
        if wanted == in_doubt && (wanted || arguments.flag("done")) {
            return Ok(());
        }
        Err(format!("{number} is {:?}", self.nodes[number]))
    }
}
