//! What the environment asks of a campaign.

use std::env;

use crate::campaign::Campaign;
use crate::world::parse_time;

/// A variable that says nothing sensible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value} is no {what}")]
#[non_exhaustive]
pub struct EnvironmentError {
    /// The variable.
    pub name: &'static str,
    /// What it says.
    pub value: String,
    /// What it should say.
    pub what: &'static str,
}

impl Campaign {
    /// Lets the environment have its way:
    ///
    /// | variable | meaning |
    /// | --- | --- |
    /// | `SIM_SEED` | [runs only this seed](Self::only) |
    /// | `SIM_BASE` | the first seed |
    /// | `SIM_RUNS` | how many seeds |
    /// | `SIM_BUDGET` | the [budget](Self::budget), such as `90s` |
    ///
    /// Seeds are decimal, or hexadecimal behind `0x`.
    ///
    /// # Errors
    /// When a variable is set and is not what it should be.
    pub fn with_environment(self) -> Result<Self, EnvironmentError> {
        self.with_variables(|name| env::var(name).ok())
    }

    fn with_variables(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EnvironmentError> {
        let number = |name: &'static str| read(name, "number", &variable, parse_seed);
        if let Some(base) = number("SIM_BASE")? {
            self.base = base;
        }
        if let Some(runs) = number("SIM_RUNS")? {
            self.runs = runs;
        }
        if let Some(budget) = read("SIM_BUDGET", "time", &variable, parse_time)? {
            self.budget = Some(budget);
        }
        if let Some(seed) = number("SIM_SEED")? {
            self = self.only(seed);
        }
        Ok(self)
    }
}

fn read<T>(
    name: &'static str,
    what: &'static str,
    variable: impl Fn(&str) -> Option<String>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, EnvironmentError> {
    let Some(value) = variable(name) else {
        return Ok(None);
    };
    match parse(&value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(EnvironmentError { name, value, what }),
    }
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Campaign, EnvironmentError> {
        Campaign::new("test").with_variables(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_overrule() {
        let campaign = with(&[]).unwrap();
        assert_eq!(
            (campaign.base, campaign.runs, campaign.only),
            (0, 100, false)
        );
        let campaign = with(&[
            ("SIM_BASE", "0xff"),
            ("SIM_RUNS", "7"),
            ("SIM_BUDGET", "90s"),
        ])
        .unwrap();
        assert_eq!((campaign.base, campaign.runs), (255, 7));
        assert_eq!(campaign.budget, Some(Duration::from_secs(90)));
        let campaign = with(&[("SIM_SEED", "12"), ("SIM_RUNS", "7")]).unwrap();
        assert_eq!((campaign.base, campaign.runs, campaign.only), (12, 1, true));
    }

    #[test]
    fn nonsense_is_named() {
        for (name, value) in [("SIM_SEED", "x"), ("SIM_RUNS", "-1"), ("SIM_BUDGET", "90")] {
            let error = with(&[(name, value)]).unwrap_err();
            assert_eq!((error.name, error.value.as_str()), (name, value));
        }
    }
}
