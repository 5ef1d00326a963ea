//! Runs stories on all cores, counts what they covered, and reports how to reproduce a failure.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// A number of stories, and what they must cover.
pub(crate) struct Campaign {
    pub(crate) name: &'static str,
    pub(crate) images: u64,
    /// Fixed, so that the stories do not depend on the number of cores.
    pub(crate) images_a_story: u64,
    /// How often each of these must occur in 10,000 images for the campaign to be meaningful.
    pub(crate) least: &'static [(&'static str, u64)],
}

/// How often things occurred.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub(crate) fn see(&mut self, what: &'static str) {
        self.see_if(true, what);
    }

    pub(crate) fn see_if(&mut self, seen: bool, what: &'static str) {
        *self.0.entry(what).or_default() += u64::from(seen);
    }

    fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

thread_local! {
    static IMAGE: Cell<u64> = const { Cell::new(0) };
}

/// Counts another image of this thread's story; returns its number in the story.
pub(crate) fn next_image() -> u64 {
    IMAGE.replace(IMAGE.get() + 1)
}

/// The result of a story: its seed, and its coverage, or the image at which it failed.
type Report = (u64, Result<Coverage, (u64, String)>);

impl Campaign {
    /// Runs `story` for as many seeds as needed. It panics if recovery is wrong, and calls
    /// [`next_image`] at each image.
    pub(crate) fn run(&self, story: impl Fn(u64) -> Coverage + Send + Sync + 'static) {
        let only = number("IMAGES_SEED");
        let stories = number("IMAGES")
            .unwrap_or(self.images)
            .div_ceil(self.images_a_story);
        let seeds = only.map_or(0..stories, |seed| seed..seed + 1);
        let running = Arc::new(Running {
            next: AtomicU64::new(seeds.start),
            stop: AtomicBool::new(false),
            story,
        });
        let (to, reports) = mpsc::channel();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            let (running, to, end) = (Arc::clone(&running), to.clone(), seeds.end);
            thread::spawn(move || running.work(end, &to));
        }
        drop(to);
        let coverage = self.collect(&reports, &running.next);
        let images = coverage.0.get("images").copied().unwrap_or_default();
        println!("{}: {coverage:#?}", self.name);
        if only.is_none() {
            self.check(&coverage, images);
        }
    }

    fn collect(&self, reports: &mpsc::Receiver<Report>, next: &AtomicU64) -> Coverage {
        let mut coverage = Coverage::default();
        let mut failed: Option<(u64, u64, String)> = None;
        loop {
            match reports.recv_timeout(PATIENCE) {
                Ok((_, Ok(seen))) => coverage.add(&seen),
                Ok((seed, Err((image, said)))) => {
                    if failed.as_ref().is_none_or(|(first, ..)| seed < *first) {
                        failed = Some((seed, image, said));
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let next = next.load(Ordering::Relaxed);
                    panic!("recovery hangs in one of the stories shortly before seed {next}");
                }
            }
        }
        if let Some((seed, image, said)) = failed {
            let images = seed * self.images_a_story + image;
            panic!(
                "seed {seed}, image {image} of it, after {images} images: {said}\n\
                 once more: IMAGES_SEED={seed} cargo test -p synod-wal --test images {}",
                self.name
            );
        }
        coverage
    }

    fn check(&self, coverage: &Coverage, images: u64) {
        for (what, least) in self.least {
            let (seen, least) = (coverage.0.get(what).copied(), least * images / 10_000);
            assert!(
                seen.unwrap_or_default() >= least,
                "vacuous: \"{what}\" was seen {seen:?} times in {images} images, not {least}"
            );
        }
    }
}

/// Shared by the workers.
struct Running<S> {
    next: AtomicU64,
    stop: AtomicBool,
    story: S,
}

impl<S: Fn(u64) -> Coverage> Running<S> {
    fn work(&self, end: u64, to: &mpsc::Sender<Report>) {
        while !self.stop.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            IMAGE.set(0);
            let report = catch_unwind(AssertUnwindSafe(|| (self.story)(seed)));
            let report = report.map_err(|panic| {
                self.stop.store(true, Ordering::Relaxed);
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
                (IMAGE.get(), text.unwrap_or_default())
            });
            if to.send((seed, report)).is_err() {
                return;
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
    )
}

/// Longer than any story takes, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
