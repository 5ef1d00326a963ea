//! What is new of a node, in words for the reader.

use std::time::Duration;

use super::kind::Kind;
use super::view::View;

/// How far from the true time a node takes it to be: the earliest and the latest, in nanoseconds.
pub(super) type Clock = (i64, i64);

/// What has become of a node, beside the numbers.
pub(super) fn news(before: &View, after: &View) -> Vec<(Kind, String)> {
    let mut news = Vec::new();
    let of_epoch = match after.epoch.is_empty() {
        true => String::new(),
        false => format!(" of {}", after.epoch),
    };
    if (before.role != after.role || before.leads != after.leads) && !after.role.is_empty() {
        news.push((Kind::Election, format!("{}{of_epoch}", after.role)));
    }
    if before.committed < after.committed {
        let text = match after.leads {
            true => format!("commits up to {}", after.committed),
            false => format!("knows as committed up to {}", after.committed),
        };
        news.push((Kind::Commit, text));
    }
    let marks = after.marks.iter();
    let new = marks.filter(|mark| !before.marks.contains(mark));
    news.extend(new.map(|mark| (Kind::Note, mark.clone())));
    news
}

/// How far `told` is ahead of the true time.
pub(super) fn beside(told: Duration, truth: Duration) -> i64 {
    let nanos = |ahead: Duration| i64::try_from(ahead.as_nanos()).unwrap_or(i64::MAX);
    match told.checked_sub(truth) {
        Some(ahead) => nanos(ahead),
        None => -nanos(truth.saturating_sub(told)),
    }
}

/// Clocks drift all the time: only what can be seen is worth a number.
pub(super) fn is_news(before: Clock, after: Clock) -> bool {
    let moved = |before: i64, after: i64| before.abs_diff(after) >= CLOCK_GRAIN_NANOS;
    moved(before.0, after.0) || moved(before.1, after.1)
}

const CLOCK_GRAIN_NANOS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_commits_and_marks_that_are_new_are_told() {
        let before = View::default();
        let after = View {
            role: "leader".to_owned(),
            epoch: "3".to_owned(),
            leads: true,
            committed: 7,
            marks: vec!["full".to_owned()],
            ..View::default()
        };
        let told: Vec<(Kind, String)> = news(&before, &after);
        let expected = [
            (Kind::Election, "leader of 3"),
            (Kind::Commit, "commits up to 7"),
            (Kind::Note, "full"),
        ];
        assert_eq!(told, expected.map(|(kind, text)| (kind, text.to_owned())));
        assert_eq!(news(&after, &after), []);
    }

    #[test]
    fn a_clock_is_told_when_its_error_can_be_seen() {
        let (told, truth) = (Duration::from_millis(7), Duration::from_millis(10));
        assert_eq!(beside(told, truth), -3_000_000);
        assert_eq!(beside(truth, told), 3_000_000);
        assert!(is_news((0, 0), (0, 100_000)) && !is_news((0, 0), (99_999, -99_999)));
    }
}
