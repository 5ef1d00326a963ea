//! The password of the clients' port: how one that was said is compared with it, and how often that may be tried.

use std::{collections::BTreeMap, hint::black_box, net::IpAddr, time::Duration};

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

/// How often passwords may be tried: whoever has failed waits before the next attempt is looked at, twice as
/// long after each failure, and from however many connections of its address it tries.
///
/// Invariants:
/// - between two attempts of an address that has failed lately lies at least its wait;
/// - no more than [`HOSTS_MAX`] addresses are known.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    hosts: BTreeMap<IpAddr, Failures>,
    /// Of all addresses, since the start.
    failures: u64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// When the last one was.
    last: Instant,
    /// From when on the next attempt may be looked at.
    free: Instant,
}

/// There are so many attempts of one address that wait already that another would wait for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Throttle {
    /// How long an attempt from this address waits before it is looked at.
    pub(crate) fn begin(&mut self, from: IpAddr, now: Instant) -> Result<Duration, TooMany> {
        let Some(failures) = self.hosts.get_mut(&host(from)) else {
            return Ok(Duration::ZERO);
        };
        let starts = failures.free.max(now);
        let wait = starts - now;
        if wait > WAIT_MAX {
            return Err(TooMany);
        }
        failures.free = starts + delay(failures.count);
        Ok(wait)
    }

    /// An attempt from this address was looked at, and failed.
    pub(crate) fn failed(&mut self, from: IpAddr, now: Instant) {
        self.failures += 1;
        let from = host(from);
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
        failures.free = failures.free.max(now + delay(failures.count));
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }
}

/// Between two attempts after so many failures.
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
            let wait = throttle.begin(address(1), now).unwrap();
            waits.push(wait.as_millis());
            now += wait;
            throttle.failed(address(1), now);
        }
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_600, 3_000, 3_000]);
        assert_eq!(throttle.begin(address(2), now), Ok(Duration::ZERO));
        now += FORGOTTEN_AFTER;
        throttle.failed(address(2), now);
        assert_eq!(
            throttle.begin(address(1), now),
            Ok(Duration::ZERO),
            "forgotten"
        );
        assert_eq!(throttle.failures(), 9);
    }

    /// Many connections are not quicker than one.
    #[test]
    fn attempts_at_once_wait_for_one_another() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        (0..6).for_each(|_| throttle.failed(address(1), now));
        let mut waits = Vec::new();
        while let Ok(wait) = throttle.begin(address(1), now) {
            waits.push(wait.as_secs());
            assert!(waits.len() < 100, "without end");
        }
        assert_eq!(waits, [3, 6, 9]);
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
