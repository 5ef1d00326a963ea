//! The text form of a timestamp: RFC 3339 and the counter, written and read without allocation.

use core::fmt::{self, Write};
use core::str::FromStr;
use core::time::Duration;

use super::{Layout, Timestamp};

impl<L: Layout> fmt::Display for Timestamp<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.since_unix_epoch();
        let (days, second) = (time.as_secs() / DAY, time.as_secs() % DAY);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        let decimals = decimals::<L>();
        if decimals > 0 {
            let fraction = time.subsec_nanos() / 10_u32.pow(9 - decimals);
            write!(f, ".{fraction:0width$}", width = decimals as usize)?;
        }
        f.write_char('Z')?;
        if L::LOGICAL_BITS > 0 {
            let digits = L::LOGICAL_BITS.div_ceil(4) as usize;
            write!(f, "-{:0digits$x}", self.logical())?;
        }
        Ok(())
    }
}

impl<L: Layout> FromStr for Timestamp<L> {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let timestamp = read::<L>(text).ok_or(ParseTimestampError)?;
        // Parsing is lenient; this check makes the form canonical: signs, missing zeros, 30
        // February and upper case parse as a timestamp that is written differently.
        let mut unmatched = Unmatched(text);
        match write!(unmatched, "{timestamp}") {
            Ok(()) if unmatched.0.is_empty() => Ok(timestamp),
            _ => Err(ParseTimestampError),
        }
    }
}

/// The text is not the form of a timestamp of this layout.
///
/// ```
/// use synod_lamport::hlc::{ParseTimestampError, Timestamp};
///
/// let february_30 = "2026-02-30T00:00:00.000Z-0000".parse::<Timestamp>();
/// assert_eq!(february_30, Err(ParseTimestampError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not a timestamp of this layout")]
pub struct ParseTimestampError;

/// A writer that matches its output against a text, holding the unmatched rest.
struct Unmatched<'a>(&'a str);

impl Write for Unmatched<'_> {
    fn write_str(&mut self, written: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(written).ok_or(fmt::Error)?;
        Ok(())
    }
}

fn read<L: Layout>(text: &str) -> Option<Timestamp<L>> {
    let (date, time) = text.split_once('T')?;
    let (time, counter) = time.split_once('Z')?;
    let mut date = date.split('-').map(u64::from_str);
    let mut numbers = || date.next()?.ok();
    let days = days(numbers()?, numbers()?, numbers()?)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.split(':').map(u32::from_str);
    let mut numbers = || time.next()?.ok().filter(|number| *number < 60);
    let second = numbers()? * 3600 + numbers()? * 60 + numbers()?;
    let seconds = days.checked_mul(DAY)?.checked_add(u64::from(second))?;
    let nanos = u32::from_str(fraction)
        .ok()?
        .checked_mul(10_u32.pow(9 - decimals::<L>()))?;
    let whole = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()))?;
    let logical = match counter.strip_prefix('-') {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => 0,
    };
    let tick = Timestamp::<L>::at_unix(whole)?;
    Timestamp::from_parts(tick.ticks(), logical)
}

/// The decimals of a second needed to distinguish ticks.
fn decimals<L: Layout>() -> u32 {
    (0..9)
        .find(|decimals| L::TICK_NANOS.is_multiple_of(10_u64.pow(9 - decimals)))
        .unwrap_or(9)
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
///
/// Years begin in March here, so that the leap day is the last of its year; 400 years, an era, are
/// always 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + MARCH_0000_TO_1970;
    let (era, day) = (days / ERA, days % ERA);
    // Each fourth year is a day longer, the last of a century is not, the last of the era is.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March have 31, 30, 31, 30, 31 days, twice over and once more: 153 in five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year;
    match month {
        0..=9 => (year, month + 3, day),
        _ => (year + 1, month - 9, day),
    }
}

/// The inverse. Days beyond the end of a month run into the next one.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        3..=12 => (year, month - 3),
        _ => return None,
    };
    let of_era = year % 400;
    let day = 365 * of_era + of_era / 4 - of_era / 100
        + (153 * month + 2) / 5
        + day.checked_sub(1).filter(|day| *day < 31)?;
    (year / 400)
        .checked_mul(ERA)?
        .checked_add(day)?
        .checked_sub(MARCH_0000_TO_1970)
}

const DAY: u64 = 86_400;
/// Days of 400 years.
const ERA: u64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970.
const MARCH_0000_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_up_day_by_day_and_come_back() {
        // By the rule of the calendar, a day at a time, over more than two eras.
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for count in 0..2 * ERA + 1000 {
            assert_eq!(date(count), (year, month, day));
            assert_eq!(days(year, month, day), Some(count));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
