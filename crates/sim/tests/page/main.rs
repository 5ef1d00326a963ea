//! Pages of runs: what stands in them, what they leave out, and how they work in a browser.

#[cfg(test)]
mod browser;
#[cfg(test)]
mod content;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod webdriver;
