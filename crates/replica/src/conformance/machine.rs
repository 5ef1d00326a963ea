//! The conformance suite for state machines.

mod streams;

use std::fmt::Debug;
use std::thread;

use bytes::Bytes;

use super::random::Random;
use super::suite::{Report, Suite};
use crate::machine::{Applying, StateMachine};
use streams::{Failing, Trickle};

/// Tests a [`StateMachine`], case by case. `fresh` makes one in the state of an empty log; `view`
/// returns everything in it that must be equal on every node; `commands` are encoded commands of
/// the machine, the more kinds the better, and best with some that depend on earlier ones.
///
/// - `deterministic`: machines that apply the same commands give the same responses and reach the
///   same state, also on another thread
/// - `any_bytes`: bytes that are no valid command are answered too, in the same way everywhere
/// - `round_trip`: a machine restored from a snapshot equals the frozen one, and continues like it
/// - `frozen`: a frozen state does not change while commands are applied, and can be written on
///   another thread
/// - `restore_replaces`: nothing of the state before a restore is left, even if the restored state
///   is empty
/// - `restore_again`: snapshots of a restored machine are as good
/// - `short_reads`, `short_writes`: readers and writers that handle a few bytes at a time
/// - `failing_reader`, `failing_writer`: their errors are passed on
/// - `truncated_snapshot`: is refused at every length
/// - `damaged_snapshot`: does not panic
///
/// ```
/// # use synod_replica::{Applying, Bytes, StateMachine, conformance};
/// # use std::io::{self, Read, Write};
/// /// A log of all commands.
/// #[derive(Clone, Default)]
/// struct Journal(Vec<Vec<u8>>);
///
/// impl StateMachine for Journal {
///     type Response = usize;
///     type Frozen = Self;
///
///     fn apply(&mut self, _: Applying, command: Bytes) -> usize {
///         self.0.push(command.to_vec());
///         self.0.len()
///     }
///     fn freeze(&self) -> Self {
///         self.clone()
///     }
///     fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
///         to.write_all(&(frozen.0.len() as u64).to_le_bytes())?;
///         for command in frozen.0 {
///             to.write_all(&(command.len() as u64).to_le_bytes())?;
///             to.write_all(&command)?;
///         }
///         Ok(())
///     }
///     fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
///         self.0.clear();
///         for _ in 0..number(from)? {
///             let (len, mut command) = (number(from)?, Vec::new());
///             // `read_to_end` and not a buffer of `len`, which may be wrong.
///             from.take(len).read_to_end(&mut command)?;
///             if (command.len() as u64) < len {
///                 return Err(io::ErrorKind::UnexpectedEof.into());
///             }
///             self.0.push(command);
///         }
///         Ok(())
///     }
/// }
///
/// fn number(from: &mut dyn Read) -> io::Result<u64> {
///     let mut bytes = [0; 8];
///     from.read_exact(&mut bytes)?;
///     Ok(u64::from_le_bytes(bytes))
/// }
///
/// conformance::state_machine(Journal::default, |journal| journal.0.clone(), &["a", "bc", ""]);
/// ```
///
/// # Panics
/// If a case fails, and if `commands` is empty.
pub fn state_machine<S, V, C>(
    fresh: impl FnMut() -> S,
    view: impl Fn(&S) -> V,
    commands: &[C],
) -> Report
where
    S: StateMachine,
    S::Response: PartialEq + Debug,
    V: PartialEq + Debug,
    C: AsRef<[u8]>,
{
    assert!(
        !commands.is_empty(),
        "a machine without commands has nothing to get right"
    );
    let mut trial = Trial {
        fresh,
        view,
        commands: commands
            .iter()
            .map(|command| Bytes::copy_from_slice(command.as_ref()))
            .collect(),
    };
    let mut suite = Suite::new("state machine");
    for (name, promise, run) in Trial::cases() {
        suite.case(name, promise, || {
            run(&mut trial);
            Ok(())
        });
    }
    suite.finish()
}

/// A machine under test.
struct Trial<F, W> {
    fresh: F,
    view: W,
    commands: Vec<Bytes>,
}

/// A case's name, what the trait promises, and the test.
type Case<T> = (&'static str, &'static str, fn(&mut T));

impl<S, V, F, W> Trial<F, W>
where
    S: StateMachine,
    S::Response: PartialEq + Debug,
    V: PartialEq + Debug,
    F: FnMut() -> S,
    W: Fn(&S) -> V,
{
    fn cases() -> [Case<Self>; 12] {
        [
            (
                "deterministic",
                "the same commands in the same order give the same state and the same responses",
                Self::deterministic,
            ),
            (
                "any_bytes",
                "bytes that are no valid command are answered, in the same way on every node",
                Self::any_bytes,
            ),
            (
                "round_trip",
                "`restore` reads what `write` wrote of `freeze`",
                Self::round_trip,
            ),
            ("frozen", "a frozen state no longer changes", Self::frozen),
            (
                "restore_replaces",
                "`restore` replaces the state",
                Self::restore_replaces,
            ),
            (
                "restore_again",
                "a restored machine is one like any other",
                Self::restore_again,
            ),
            (
                "short_reads",
                "a reader may return less than requested, and be interrupted",
                Self::short_reads,
            ),
            (
                "short_writes",
                "a writer may accept less than it is given",
                Self::short_writes,
            ),
            (
                "failing_reader",
                "an error of the reader is the error of `restore`",
                Self::failing_reader,
            ),
            (
                "failing_writer",
                "an error of the writer is the error of `write`",
                Self::failing_writer,
            ),
            (
                "truncated_snapshot",
                "a snapshot that ends early is an error",
                Self::truncated_snapshot,
            ),
            (
                "damaged_snapshot",
                "bytes that are no valid state are an error, and never a panic",
                Self::damaged_snapshot,
            ),
        ]
    }

    /// The commands in their order, then random ones.
    fn script(&self, seed: u64, len: usize) -> Vec<Bytes> {
        let mut random = Random(seed);
        let draw = || self.commands[random.index(self.commands.len())].clone();
        let drawn: Vec<Bytes> = std::iter::repeat_with(draw).take(len).collect();
        self.commands.iter().cloned().chain(drawn).collect()
    }

    fn machine(&mut self, script: &[Bytes]) -> S {
        let mut machine = (self.fresh)();
        apply(&mut machine, 0, script);
        machine
    }

    fn snapshot(&mut self, script: &[Bytes]) -> Vec<u8> {
        write::<S>(self.machine(script).freeze())
    }

    /// Checks that both are in the same state, and continue in the same way.
    fn alike(&self, one: &mut S, two: &mut S, when: &str) {
        assert_eq!(
            (self.view)(one),
            (self.view)(two),
            "{when}: the states differ"
        );
        let script = self.script(99, 100);
        let answers = apply(one, 1_000, &script);
        assert!(
            answers == apply(two, 1_000, &script),
            "{when}: they give different responses"
        );
        assert_eq!(
            (self.view)(one),
            (self.view)(two),
            "{when}: they end up in different states"
        );
    }

    fn deterministic(&mut self) {
        for seed in 0..8 {
            let script = self.script(seed, 300);
            let (mut one, mut two) = ((self.fresh)(), (self.fresh)());
            let (mut three, moved) = ((self.fresh)(), script.clone());
            let elsewhere = thread::spawn(move || {
                let answers = apply(&mut three, 0, &moved);
                (three, answers)
            });
            let (mut three, answers) = joined(elsewhere);
            for ((at, command), third) in script.iter().enumerate().zip(answers) {
                let at = position(0, at);
                let first = one.apply(at, command.clone());
                assert_eq!(
                    first,
                    two.apply(at, command.clone()),
                    "two machines answer {command:?} differently"
                );
                assert_eq!(
                    first, third,
                    "on another thread {command:?} has another answer"
                );
            }
            self.alike(&mut two, &mut three, "on another thread");
        }
    }

    fn any_bytes(&mut self) {
        let mut random = Random(5);
        let mut odd = vec![vec![], vec![0], vec![0xff; 40], vec![0; 1_000]];
        for command in &self.commands {
            for at in 0..command.len().min(64) {
                odd.push(command[..at].to_vec());
                let mut bad = command.to_vec();
                bad[at] ^= 1 << random.below(8);
                odd.push(bad);
            }
            odd.push([&command[..], &[0]].concat());
        }
        for _ in 0..200 {
            let len = random.index(60);
            odd.push((0..len).map(|_| random.next() as u8).collect());
        }
        let good = self.script(1, 20);
        let (mut one, mut two) = (self.machine(&good), self.machine(&good));
        for (at, command) in odd.into_iter().map(Bytes::from).enumerate() {
            let at = position(500, at);
            let answers = (
                one.apply(at, command.clone()),
                two.apply(at, command.clone()),
            );
            assert_eq!(
                answers.0, answers.1,
                "two machines answer {command:?} differently"
            );
        }
        self.alike(&mut one, &mut two, "after invalid commands");
    }

    fn round_trip(&mut self) {
        for (seed, len) in [0, 1, 2, 7, 40, 400].into_iter().enumerate() {
            let script = self.script(seed as u64, len);
            for script in [&script[..], &script[..len.min(script.len())]] {
                let mut machine = self.machine(script);
                let bytes = write::<S>(machine.freeze());
                let mut restored = self.restored(&bytes);
                let when = format!("restored after {} commands", script.len());
                self.alike(&mut machine, &mut restored, &when);
            }
        }
    }

    fn frozen(&mut self) {
        let script = self.script(3, 200);
        let (first, rest) = script.split_at(script.len() / 2);
        let mut machine = self.machine(first);
        let (frozen, later) = (machine.freeze(), machine.freeze());
        let writing = thread::spawn(move || write::<S>(frozen));
        apply(&mut machine, 300, rest);
        let bytes = joined(writing);
        apply(&mut machine, 600, rest);
        for (bytes, when) in [
            (bytes, "written while commands were applied"),
            (write::<S>(later), "written after commands were applied"),
        ] {
            let (mut as_of_then, mut restored) = (self.machine(first), self.restored(&bytes));
            self.alike(&mut as_of_then, &mut restored, when);
        }
    }

    fn restore_replaces(&mut self) {
        let (before, after) = (self.script(4, 60), self.script(5, 60));
        for script in [&after[..], &after[..1], &[]] {
            let bytes = self.snapshot(script);
            let mut machine = self.machine(&before);
            restore(&mut machine, &bytes);
            let mut expected = self.machine(script);
            let when = format!(
                "a snapshot of {} commands restored over others",
                script.len()
            );
            self.alike(&mut expected, &mut machine, &when);
        }
    }

    fn restore_again(&mut self) {
        let (first, second) = (self.script(6, 50), self.script(7, 50));
        let mut machine = {
            let bytes = self.snapshot(&first);
            self.restored(&bytes)
        };
        let mut expected = self.machine(&first);
        for round in 0..3 {
            apply(&mut machine, 200 + round, &second);
            apply(&mut expected, 200 + round, &second);
            let bytes = write::<S>(machine.freeze());
            restore(&mut machine, &bytes);
        }
        self.alike(&mut expected, &mut machine, "a snapshot of a snapshot");
    }

    fn short_reads(&mut self) {
        let script = self.script(8, 50);
        let bytes = self.snapshot(&script);
        let mut machine = (self.fresh)();
        let restored = machine.restore(&mut Trickle::new(&bytes));
        assert!(restored.is_ok(), "one byte at a time: {restored:?}");
        let mut expected = self.machine(&script);
        self.alike(&mut expected, &mut machine, "read one byte at a time");
    }

    fn short_writes(&mut self) {
        let script = self.script(9, 50);
        let frozen = self.machine(&script).freeze();
        let mut to = Trickle::new(&[]);
        let written = S::write(frozen, &mut to);
        assert!(written.is_ok(), "one byte at a time: {written:?}");
        let (mut expected, mut machine) = (self.machine(&script), self.restored(&to.written));
        self.alike(&mut expected, &mut machine, "written one byte at a time");
    }

    fn failing_reader(&mut self) {
        let script = self.script(10, 50);
        let bytes = self.snapshot(&script);
        for good in cuts(bytes.len()) {
            let restored = (self.fresh)().restore(&mut Failing::reader(&bytes[..good]));
            assert!(
                restored.as_ref().is_err_and(streams::is_broken),
                "the reader failed after {good} of {} bytes: {restored:?}",
                bytes.len()
            );
        }
    }

    fn failing_writer(&mut self) {
        let script = self.script(11, 50);
        let len = self.snapshot(&script).len();
        for good in cuts(len) {
            let written = S::write(self.machine(&script).freeze(), &mut Failing::writer(good));
            assert!(
                written.as_ref().is_err_and(streams::is_broken),
                "the writer failed after {good} of {len} bytes: {written:?}"
            );
        }
    }

    fn truncated_snapshot(&mut self) {
        let script = self.script(12, 30);
        let bytes = self.snapshot(&script);
        for len in cuts(bytes.len()) {
            let restored = (self.fresh)().restore(&mut &bytes[..len]);
            assert!(
                restored.is_err(),
                "{len} of {} bytes of a snapshot were accepted as all of it",
                bytes.len()
            );
        }
    }

    fn damaged_snapshot(&mut self) {
        let script = self.script(13, 30);
        let bytes = self.snapshot(&script);
        let mut random = Random(13);
        for _ in 0..400 {
            let mut bad = bytes.clone();
            if !bad.is_empty() {
                let at = random.index(bad.len());
                bad[at] ^= 1 << random.below(8);
            }
            // A state or an error: the file's checksum detects damage.
            let _either = (self.fresh)().restore(&mut &bad[..]);
        }
    }

    fn restored(&mut self, bytes: &[u8]) -> S {
        let mut machine = (self.fresh)();
        restore(&mut machine, bytes);
        machine
    }
}

/// Applies commands in order, some of which share an index.
fn apply<S: StateMachine>(machine: &mut S, from: u64, script: &[Bytes]) -> Vec<S::Response> {
    let answer =
        |(at, command): (usize, &Bytes)| machine.apply(position(from, at), command.clone());
    script.iter().enumerate().map(answer).collect()
}

fn position(from: u64, at: usize) -> Applying {
    Applying {
        index: from + 1 + at as u64 / 3,
        offset: at as u32 % 3,
    }
}

fn write<S: StateMachine>(frozen: S::Frozen) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = S::write(frozen, &mut bytes);
    assert!(written.is_ok(), "into memory: {written:?}");
    bytes
}

fn restore<S: StateMachine>(machine: &mut S, mut bytes: &[u8]) {
    let restored = machine.restore(&mut bytes);
    assert!(restored.is_ok(), "a snapshot of its own: {restored:?}");
}

fn joined<T>(thread: thread::JoinHandle<T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Lengths below `len`: all of them, or a sample that takes little time.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(len / 512 + 1)
}
