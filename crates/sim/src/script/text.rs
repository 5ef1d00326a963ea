//! A script as text: comments, commands, and below `----` what happened.

use std::fmt;

use super::player::Failure;

/// The lines of a file, so that all but the outputs is written back as it was.
#[derive(Debug)]
pub(super) struct Script {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// A comment or an empty line.
    Text(String),
    Block(Block),
}

/// Commands one below the other, and one output for all of them.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) commands: Vec<Command>,
    output: Option<Vec<String>>,
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Script {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        let mut lines = (1..).zip(text.lines()).peekable();
        while let Some((line, text)) = lines.next() {
            if text.is_empty() || text.starts_with('#') {
                parts.push(Part::Text(text.to_owned()));
                continue;
            }
            if text == RULE {
                return Err(Failure {
                    line,
                    command: String::new(),
                    why: format!("`{RULE}` without a command"),
                });
            }
            let mut commands = vec![Command::new(line, text)];
            let mut output = None;
            while let Some((line, text)) = lines.next_if(|(_, text)| !text.is_empty()) {
                match &mut output {
                    None if text == RULE => output = Some(Vec::new()),
                    None => commands.push(Command::new(line, text)),
                    Some(output) => output.push(text.to_owned()),
                }
            }
            parts.push(Part::Block(Block { commands, output }));
        }
        Ok(Self { parts })
    }

    pub(super) fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Block(block) => Some(block),
        })
    }
}

impl Command {
    fn new(line: usize, text: &str) -> Self {
        let text = text.to_owned();
        Self { line, text }
    }
}

impl Block {
    /// Expectations hold or they do not, and tell nothing.
    pub(super) fn set_output(&mut self, lines: Vec<String>) {
        let is_silent = |command: &Command| command.text.starts_with("expect ");
        self.output = if self.commands.iter().all(is_silent) {
            None
        } else if lines.is_empty() {
            Some(vec!["ok".to_owned()])
        } else {
            Some(lines)
        };
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => writeln!(f, "{text}")?,
                Part::Block(block) => {
                    for command in &block.commands {
                        writeln!(f, "{}", command.text)?;
                    }
                    if let Some(output) = &block.output {
                        writeln!(f, "{RULE}")?;
                        output.iter().try_for_each(|line| writeln!(f, "{line}"))?;
                    }
                }
            }
        }
        Ok(())
    }
}

const RULE: &str = "----";
