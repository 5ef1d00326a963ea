//! Which lines of two texts differ.

/// Lines of both, `-` for those of the first alone and `+` for those of the second, with a few that
/// they share around them. The number is that of the line in the first text.
pub(super) fn between(first: &str, second: &str) -> String {
    let (first, second): (Vec<&str>, Vec<&str>) =
        (first.lines().collect(), second.lines().collect());
    let longest = longest_shared(&first, &second);
    let mut lines = Vec::new();
    let (mut a, mut b) = (0, 0);
    while a < first.len() || b < second.len() {
        if a < first.len() && b < second.len() && first[a] == second[b] {
            lines.push((' ', a + 1, first[a]));
            (a, b) = (a + 1, b + 1);
        } else if b == second.len() || (a < first.len() && longest[a + 1][b] >= longest[a][b + 1]) {
            lines.push(('-', a + 1, first[a]));
            a += 1;
        } else {
            lines.push(('+', a + 1, second[b]));
            b += 1;
        }
    }
    let near = |at: usize| {
        let around = &lines[at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len())];
        around.iter().any(|(sign, ..)| *sign != ' ')
    };
    let shown = lines.iter().enumerate().filter(|(at, _)| near(*at));
    let mut text = String::new();
    for (_, (sign, number, line)) in shown {
        text.push_str(&format!("{number:5} {sign}{line}\n"));
    }
    text
}

/// How many lines the rests of both have in common in order, at each pair of places.
fn longest_shared(first: &[&str], second: &[&str]) -> Vec<Vec<usize>> {
    let mut longest = vec![vec![0; second.len() + 1]; first.len() + 1];
    for a in (0..first.len()).rev() {
        for b in (0..second.len()).rev() {
            longest[a][b] = if first[a] == second[b] {
                longest[a + 1][b + 1] + 1
            } else {
                longest[a + 1][b].max(longest[a][b + 1])
            };
        }
    }
    longest
}

const AROUND: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_with_what_is_around_it() {
        let first = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let second = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let lines = [
            "    2  2",
            "    3  3",
            "    4  4",
            "    5 -5",
            "    6 +five",
            "    6  6",
            "    7  7",
        ];
        assert!(between(first, second).starts_with(&lines.join("\n")));
        assert_eq!(between(first, first), "");
    }
}
