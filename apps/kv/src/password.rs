//! The password of the clients' port: how one that was said is compared with it, and how often that may be tried.

use std::{
    collections::BTreeMap,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use tokio::time::Instant;

use crate::cut::host;

/// What clients must say before they are served.
#[derive(Clone)]
pub struct Password(Vec<u8>);

/// Why something is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Everybody knows it.
    #[error("the password is empty")]
    Empty,
    /// No client needs one that long.
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    Long,
}

impl Password {
    /// The first line of a file; what ends it is no part of it.
    ///
    /// # Errors
    /// [`PasswordError`]
    pub fn first_line(text: &[u8]) -> Result<Self, PasswordError> {
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.len() {
            0 => Err(PasswordError::Empty),
            1..=PASSWORD_BYTES_MAX => Ok(Self(line.to_vec())),
            _ => Err(PasswordError::Long),
        }
    }

    /// As whoever says it does.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is it. How long it takes tells nothing of where the two differ, nor of how long it is.
    #[must_use]
    pub fn is(&self, said: &[u8]) -> bool {
        let at = |text: &[u8], place: usize| text.get(place).copied().unwrap_or_default();
        let mut differs = u8::from(self.0.len() != said.len());
        for place in 0..PASSWORD_BYTES_MAX {
            differs = black_box(differs | (at(&self.0, place) ^ at(said, place)));
        }
        differs == 0
    }
}

/// Without the words.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// How often passwords may be tried: whoever says a wrong one waits for the answer, twice as long after each failure,
/// and from however many connections of its address it tries. Whoever says the right one never waits, so nobody is
/// locked out by others of its address; what that costs is that no answer at once is an answer to who opens connections
/// as fast as it can, so a password must be long.
///
/// Invariants:
/// - between the answers to two wrong passwords of an address lies at least its wait, up to [`WAIT_MAX`];
/// - no more than [`HOSTS_MAX`] addresses are known.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    hosts: BTreeMap<IpAddr, Failures>,
    /// Of all addresses, since the start.
    failures: u64,
    /// Of all addresses, in the second that began then.
    lately: Option<(Instant, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// When the last one was.
    last: Instant,
    /// From when on another may be answered.
    free: Instant,
}

impl Throttle {
    /// Somebody at this address has said a wrong password. How long it waits for the answer.
    pub(crate) fn failed(&mut self, from: IpAddr, now: Instant) -> Duration {
        self.failures += 1;
        let from = guesser(from);
        let of_all = self.of_all(now);
        self.hosts
            .retain(|_, failures| now.saturating_duration_since(failures.last) < FORGOTTEN_AFTER);
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&from) {
            let oldest = self.hosts.iter().min_by_key(|(_, failures)| failures.last);
            if let Some(oldest) = oldest.map(|(oldest, _)| *oldest) {
                self.hosts.remove(&oldest);
            }
        }
        let failures = self.hosts.entry(from).or_insert(Failures {
            count: 0,
            last: now,
            free: now,
        });
        failures.count += 1;
        failures.last = now;
        failures.free = (failures.free.max(now) + delay(failures.count)).min(now + WAIT_MAX);
        (failures.free - now).max(of_all)
    }

    /// Somebody at this address has said the right one: whoever else is there is forgiven.
    pub(crate) fn passed(&mut self, from: IpAddr) {
        self.hosts.remove(&guesser(from));
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// How long whoever has failed now waits, because so many have, from wherever.
    fn of_all(&mut self, now: Instant) -> Duration {
        let (begun, count) = self.lately.get_or_insert((now, 0));
        if now.saturating_duration_since(*begun) >= SECOND {
            (*begun, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count > FAILURES_A_SECOND_MAX {
            DELAY_MAX
        } else {
            Duration::ZERO
        }
    }
}

/// Who guesses: this machine has many addresses for itself.
fn guesser(from: IpAddr) -> IpAddr {
    match host(from) {
        here if here.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        from => from,
    }
}

/// Before the answer to so many failures.
fn delay(count: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(count.saturating_sub(1));
    DELAY_MIN.saturating_mul(doubled).min(DELAY_MAX)
}

pub(crate) const PASSWORD_BYTES_MAX: usize = 512;
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(3);
/// No client waits longer for an answer.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Since its last failure.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
const HOSTS_MAX: usize = 1_024;
/// Beyond so many wrong passwords in a second, of all addresses, everybody who says one waits as if it had said many.
const FAILURES_A_SECOND_MAX: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_password_is_the_first_line_and_nothing_else_is_it() {
        let password = Password::first_line(b"secret\r\nmore\n").unwrap();
        assert!(password.is(b"secret"));
        for other in [
            &b""[..],
            b"secre",
            b"secret\0",
            b"secrets",
            b"Secret",
            b"\0\0\0\0\0\0",
        ] {
            assert!(!password.is(other), "{}", other.escape_ascii());
        }
        let zeros = Password::first_line(&[0; 3]).unwrap();
        assert!(!zeros.is(&[0; 2]) && zeros.is(&[0; 3]));
        let longest = Password::first_line(&[b'x'; PASSWORD_BYTES_MAX]).unwrap();
        assert!(longest.is(&[b'x'; PASSWORD_BYTES_MAX]) && !longest.is(&[b'x'; 5_000]));
        assert_eq!(
            Password::first_line(b"\nsecret").unwrap_err(),
            PasswordError::Empty
        );
        let long = Password::first_line(&[b'x'; PASSWORD_BYTES_MAX + 1]);
        assert_eq!(long.unwrap_err(), PasswordError::Long);
        assert_eq!(format!("{password:?}"), "Password");
    }

    #[test]
    fn who_fails_waits_twice_as_long_each_time_and_nobody_else_does() {
        let (mut throttle, mut now) = (Throttle::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = throttle.failed(address(1), now);
            waits.push(wait.as_millis());
            now += wait;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
        assert_eq!(throttle.failed(address(2), now), DELAY_MIN);
        assert_eq!(throttle.failed(address(1), now), DELAY_MAX);
        throttle.passed(address(1));
        assert_eq!(throttle.failed(address(1), now), DELAY_MIN, "forgiven");
        assert_eq!(
            throttle.failed(address(1), now + FORGOTTEN_AFTER),
            DELAY_MIN,
            "forgotten"
        );
        assert_eq!(throttle.failures(), 12);
    }

    /// Many connections are not quicker than one, and none waits for ever; all addresses of this machine are one.
    #[test]
    fn failures_at_once_wait_for_one_another() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let here = |last: u8| IpAddr::from([127, 0, last, 1]);
        let waits: Vec<u128> = (0..8)
            .map(|at| throttle.failed(here(at), now).as_millis())
            .collect();
        assert_eq!(waits, [100, 300, 700, 1_500, 3_100, 6_100, 9_100, 10_000]);
        let version_6 = throttle.failed(std::net::Ipv6Addr::LOCALHOST.into(), now);
        assert_eq!(version_6, DELAY_MIN, "a prefix of its own");
    }

    /// So many guess at once, each from an address of its own.
    #[test]
    fn a_crowd_of_many_addresses_waits_as_who_has_failed_often() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for last in 0..FAILURES_A_SECOND_MAX as u8 {
            assert_eq!(throttle.failed(address(last), now), DELAY_MIN, "{last}");
        }
        assert_eq!(throttle.failed(address(200), now), DELAY_MAX);
        assert_eq!(throttle.failed(address(201), now + SECOND), DELAY_MIN);
    }

    #[test]
    fn no_more_addresses_are_known_than_there_is_room_for() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..2_000_u32 {
            throttle.failed(IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(throttle.hosts.len(), HOSTS_MAX);
    }
}
