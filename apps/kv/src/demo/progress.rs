//! What a person sees while the load runs, on standard error. Without a terminal: nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::sleep;

use crate::demo::{report::grouped, workload::Workload};

/// A bar that fills with the time of the load.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A line that says what is being waited for.
    pub(crate) fn waiting(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// A bar for a load of some length.
    pub(crate) fn load(length: Duration) -> Self {
        let bar = ProgressBar::new(length.as_millis() as u64);
        // A template that does not parse leaves the default bar.
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:40}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    /// A line above the bar that stays.
    pub(crate) fn say(&self, line: &str) {
        self.bar.println(format!(
            "{:>6.2} s  {line}",
            self.bar.elapsed().as_secs_f64()
        ));
    }

    /// Moves the bar, for as long as it is polled.
    pub(crate) async fn follow(&self, workload: &Workload) {
        let mut before = 0;
        loop {
            sleep(TICK).await;
            let acknowledged = workload.acknowledged();
            let rate = (acknowledged - before) as f64 / TICK.as_secs_f64();
            before = acknowledged;
            self.bar.set_position(workload.now().as_millis() as u64);
            self.bar
                .set_message(format!("{:>8} operations/s", grouped(rate as u64)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const TICK: Duration = Duration::from_millis(100);
