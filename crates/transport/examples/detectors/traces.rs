//! What a link and a node do to messages: loss, delay, pauses.

use super::draws::Draws;
use std::time::Duration;

/// A kind of world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    loss: Loss,
    /// Every message takes so long at the least, and an exponential more of this mean.
    delay: Duration,
    jitter: Duration,
    /// Of Pareto's tail: the least, and the shape.
    tail: Option<(Duration, f64)>,
    /// Of whoever sends, and of whoever watches.
    pub(crate) sender: Option<Pausing>,
    pub(crate) watcher: Option<Pausing>,
}

/// Gilbert's and Elliott's: a link is good or bad, and loses as much in each.
#[derive(Clone, Copy, Debug)]
struct Loss {
    good: f64,
    bad: f64,
    worsens: f64,
    recovers: f64,
}

/// How often a node stands still, on average, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pausing {
    every: Duration,
    min: Duration,
    max: Duration,
}

/// The worlds of the table.
pub(crate) fn traces() -> [Trace; 5] {
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    let rare = Loss {
        good: 0.000_1,
        bad: 0.0,
        worsens: 0.0,
        recovers: 1.0,
    };
    let calm = Trace {
        name: "calm",
        about: "1 ms and about 1 ms more, one message in 10,000 lost",
        loss: rare,
        delay: ms(1),
        jitter: ms(1),
        tail: None,
        sender: None,
        watcher: None,
    };
    let loss = Loss {
        good: 0.03,
        bad: 0.6,
        worsens: 0.002,
        recovers: 0.2,
    };
    let paused = Pausing {
        every: s(600),
        min: ms(500),
        max: s(6),
    };
    let deaf = Pausing {
        max: s(30),
        ..paused
    };
    [
        calm,
        Trace {
            name: "loss",
            about: "3 % lost, and 60 % in bursts of about five messages",
            loss,
            ..calm
        },
        Trace {
            name: "pauses",
            about: "who is watched stands still every ten minutes or so, for 0.5 to 6 s",
            sender: Some(paused),
            ..calm
        },
        Trace {
            name: "heavy tails",
            about: "20 ms and more by Pareto's law of shape 1.3, so without a deviation; messages overtake",
            tail: Some((ms(20), 1.3)),
            ..calm
        },
        Trace {
            name: "deaf",
            about: "who watches stands still every ten minutes or so, for 0.5 to 30 s, and finds then what has come",
            watcher: Some(deaf),
            ..calm
        },
    ]
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    trace: Trace,
    is_bad: bool,
    losses: Draws,
    delays: Draws,
}

impl Link {
    pub(crate) fn new(trace: Trace, seed: u64) -> Self {
        Self {
            trace,
            is_bad: false,
            losses: Draws::new(seed, 1),
            delays: Draws::new(seed, 2),
        }
    }

    /// How long the next message takes; nothing, when it is lost.
    pub(crate) fn carry(&mut self) -> Option<Duration> {
        let Trace {
            loss,
            delay,
            jitter,
            tail,
            ..
        } = self.trace;
        let turns = if self.is_bad {
            loss.recovers
        } else {
            loss.worsens
        };
        self.is_bad ^= self.losses.chance(turns);
        let lost = self
            .losses
            .chance(if self.is_bad { loss.bad } else { loss.good });
        let mut takes = delay + self.delays.exponential(jitter);
        if let Some((min, shape)) = tail {
            takes += self.delays.pareto(min, shape, TAIL_MAX);
        }
        (!lost).then_some(takes)
    }
}

/// When a node stands still.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    pausing: Option<Pausing>,
    draws: Draws,
    begin: Duration,
    end: Duration,
}

impl Pauses {
    pub(crate) fn new(pausing: Option<Pausing>, seed: u64) -> Self {
        let mut pauses = Self {
            pausing,
            draws: Draws::new(seed, 3),
            begin: Duration::MAX,
            end: Duration::ZERO,
        };
        pauses.draw();
        pauses
    }

    /// When what is due at `at` is really done. To be asked in the order of time.
    pub(crate) fn awake(&mut self, at: Duration) -> Duration {
        while self.end <= at {
            self.draw();
        }
        if at >= self.begin { self.end } else { at }
    }

    fn draw(&mut self) {
        match self.pausing {
            Some(Pausing { every, min, max }) => {
                self.begin = self.end + self.draws.exponential(every);
                self.end = self.begin + self.draws.between(min, max);
            }
            None => (self.begin, self.end) = (Duration::MAX, Duration::MAX),
        }
    }
}

/// No message is under way for longer.
pub(crate) const TAIL_MAX: Duration = Duration::from_secs(60);
