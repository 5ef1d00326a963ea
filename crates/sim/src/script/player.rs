//! Plays a script and says how what happened differs from what is written.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::difference;
use super::text::Script;
use crate::page::{self, Recorder};
use crate::panic;

/// Who plays the commands of a script.
pub trait Stage {
    /// Plays a command, which is one line. A panic is a command that fails.
    ///
    /// # Errors
    /// Why it cannot be played, or what does not hold.
    fn play(&mut self, command: &str) -> Result<(), String>;

    /// Takes what has happened since it was last asked for, a line each. Whatever begins with
    /// `expect ` is expected to tell nothing.
    fn take_lines(&mut self) -> Vec<String>;

    /// Tells `recorder` what happens from now on, if it can.
    fn record(&mut self, _recorder: &Recorder) {}
}

/// A script that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// Its text as it should be, as far as it goes.
    pub text: String,
    /// The command at which it ended early.
    pub failure: Option<Failure>,
}

/// A command that could not be played, or something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Its line in the script, from 1.
    pub line: usize,
    /// The command; empty if it is no script.
    pub command: String,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, command, why } = self;
        match command.as_str() {
            "" => write!(f, "{line}: {why}"),
            command => write!(f, "{line}: `{command}`: {why}"),
        }
    }
}

/// Plays the text up to the first command that fails.
pub fn play(text: &str, stage: &mut impl Stage) -> Played {
    let mut script = match Script::parse(text) {
        Ok(script) => script,
        Err(failure) => {
            return Played {
                text: text.to_owned(),
                failure: Some(failure),
            };
        }
    };
    let mut failure = None;
    for block in script.blocks_mut() {
        let mut lines = Vec::new();
        for command in &block.commands {
            let played = catch_unwind(AssertUnwindSafe(|| stage.play(&command.text)));
            let played = played.unwrap_or_else(|payload| Err(panic::text(payload.as_ref())));
            lines.extend(stage.take_lines());
            failure = played.err().map(|why| Failure {
                line: command.line,
                command: command.text.clone(),
                why,
            });
            if failure.is_some() {
                break;
            }
        }
        block.set_output(lines);
        if failure.is_some() {
            break;
        }
    }
    Played {
        text: script.to_string(),
        failure,
    }
}

/// The scripts of a package, each a file `NAME.txt`.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    name: String,
    update: String,
}

impl Folder {
    /// The folder `name` of the package at `root`, which is `env!("CARGO_MANIFEST_DIR")`. `update` is
    /// the command that runs the tests, for whoever wants to write what happened into the files.
    pub fn new(root: &str, name: &str, update: &str) -> Self {
        Self {
            root: root.into(),
            name: name.to_owned(),
            update: update.to_owned(),
        }
    }

    /// Plays a script. With `UPDATE` in the environment what happened is written below the commands;
    /// no update makes a command succeed.
    ///
    /// # Panics
    /// If a command fails, or something else happens than is written; and if the file cannot be read.
    pub fn check(&self, script: &str, stage: &mut impl Stage) {
        let name = format!("{}/{script}.txt", self.name);
        let path = self.root.join(&name);
        let written = std::fs::read_to_string(&path).expect("the script is there");
        // A story is short: it is recorded before anybody knows how it ends.
        let recorder = Recorder::new(format!("The script {script}"));
        stage.record(&recorder);
        let Played { text, failure } = play(&written, stage);
        let update = std::env::var_os("UPDATE").is_some();
        if update && text != written {
            std::fs::write(&path, &text).expect("the script can be written");
        }
        if let Some(failure) = failure {
            self.fail(script, &recorder, &format!("{name}:{failure}"));
        }
        if text != written && !update {
            let difference = difference::between(&written, &text);
            let told = format!("{name} tells otherwise (- written, + played):\n{difference}");
            let how = format!("If this is as it should be: UPDATE=1 {}", self.update);
            self.fail(script, &recorder, &format!("{told}\n{how}"));
        }
    }

    fn fail(&self, script: &str, recorder: &Recorder, why: &str) -> ! {
        if recorder.events() > 0 {
            recorder.about("script", format!("{}/{script}.txt", self.name));
            recorder.violation(why);
            page::leave(recorder, &page::beside_tests(&format!("{script}.html")));
        }
        panic!("\n{why}\n");
    }

    /// The names of all scripts.
    ///
    /// # Panics
    /// If the folder cannot be read.
    pub fn names(&self) -> BTreeSet<String> {
        let files = std::fs::read_dir(self.root.join(&self.name));
        let names = files.expect("the folder of the scripts").map(|file| {
            let name = file.expect("a file").file_name();
            name.to_string_lossy().into_owned()
        });
        let scripts = names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned));
        scripts.collect()
    }
}

/// A test for each script of a [`Folder`](crate::script::Folder), so that one can be named, and one
/// test that there is no script without. The second is a new [`Stage`](crate::script::Stage).
///
/// ```ignore
/// synod_sim::scripts! {
///     folder(), MyStage::default();
///     a_vote_is_lost
///     the_coordinator_is_gone
/// }
/// ```
#[macro_export]
macro_rules! scripts {
    ($folder:expr, $stage:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $folder.check(stringify!($name), &mut $stage);
            }
        )*

        #[test]
        fn every_script_is_played() {
            let names = [$(stringify!($name)),*].map(str::to_owned);
            assert_eq!($folder.names(), names.into());
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what it is told to.
    #[derive(Default)]
    struct Echo(Vec<String>);

    impl Stage for Echo {
        fn play(&mut self, command: &str) -> Result<(), String> {
            match command.split_once(' ') {
                Some(("say", text)) => self.0.push(text.to_owned()),
                Some(("expect", "silence")) => {}
                Some(("break", what)) => panic!("{what} is broken"),
                _ => return Err(format!("there is no command `{command}`")),
            }
            Ok(())
        }

        fn take_lines(&mut self) -> Vec<String> {
            std::mem::take(&mut self.0)
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let why = |text| {
            play(text, &mut Echo::default())
                .failure
                .unwrap()
                .to_string()
        };
        let text = "# A comment.\n\nsay x\n----\nx\n\nsai y\n";
        assert_eq!(why(text), "7: `sai y`: there is no command `sai y`");
        assert_eq!(why("say x\nbreak it\n"), "2: `break it`: it is broken");
        // What comes behind is not played, and makes up for nothing.
        assert_eq!(why("break it\nsay x\n"), "1: `break it`: it is broken");
        assert_eq!(why("\n----\n"), "2: `----` without a command");
    }

    #[test]
    fn what_happened_is_written_below_its_commands_and_nothing_else_is_changed() {
        let text = "# One.\nsay a\nsay b\n----\nanything\n\n# Two.\nexpect silence\n\nsay c\n";
        let played = play(text, &mut Echo::default());
        assert_eq!(
            played.text,
            "# One.\nsay a\nsay b\n----\na\nb\n\n# Two.\nexpect silence\n\nsay c\n----\nc\n"
        );
        assert_eq!(play(&played.text, &mut Echo::default()).text, played.text);
        assert!(difference::between(text, &played.text).contains("-anything"));
    }

    #[test]
    fn a_script_that_fails_is_written_as_far_as_it_goes() {
        let played = play("say a\n----\n\nnonsense\n\nsay b\n", &mut Echo::default());
        assert_eq!(
            played.text,
            "say a\n----\na\n\nnonsense\n----\nok\n\nsay b\n"
        );
    }
}
