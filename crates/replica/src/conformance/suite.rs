//! Runs all named cases, skips those that cannot be tried, and reports which promises were broken.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// An ability that the tested store or network lacks, by the name of its method. The cases that
/// need it are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported(pub &'static str);

/// What a suite has run; a test can check that nothing was skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The names of the cases that passed.
    pub passed: Vec<&'static str>,
    /// The names of the cases that were skipped, and what each lacked.
    pub skipped: Vec<(&'static str, Unsupported)>,
}

/// A suite in progress.
pub(super) struct Suite {
    of: &'static str,
    report: Report,
    /// A report of each case that failed.
    failed: Vec<String>,
    /// Advice for the reader of a failure.
    hint: &'static str,
}

impl Suite {
    pub(super) fn new(of: &'static str) -> Self {
        Self {
            of,
            report: Report::default(),
            failed: Vec::new(),
            hint: "",
        }
    }

    /// Like [`new`](Self::new), with advice for the reader of a failure.
    pub(super) fn with_hint(of: &'static str, hint: &'static str) -> Self {
        Self {
            hint,
            ..Self::new(of)
        }
    }

    /// Runs a case; `promise` is what the trait promises.
    pub(super) fn case(
        &mut self,
        name: &'static str,
        promise: &'static str,
        run: impl FnOnce() -> Result<(), Unsupported>,
    ) {
        let ended = catch_unwind(AssertUnwindSafe(run));
        self.end(name, promise, ended);
    }

    /// Like [`case`](Self::case), for an asynchronous case.
    pub(super) async fn case_async(
        &mut self,
        name: &'static str,
        promise: &'static str,
        run: impl Future<Output = Result<(), Unsupported>>,
    ) {
        let mut run = pin!(run);
        let ended = poll_fn(
            |cx| match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(ended)) => Poll::Ready(Ok(ended)),
                Err(panic) => Poll::Ready(Err(panic)),
            },
        );
        let ended = ended.await;
        self.end(name, promise, ended);
    }

    /// # Panics
    /// If a case failed; all failures are reported.
    pub(super) fn finish(self) -> Report {
        if !self.failed.is_empty() {
            let (failed, passed) = (self.failed.len(), self.report.passed.len());
            let counts = match failed {
                1 => String::new(),
                _ => format!("\n\n{failed} cases failed, {passed} passed"),
            };
            panic!("{}{counts}{}", self.failed.join("\n\n"), self.hint);
        }
        self.report
    }

    fn end(
        &mut self,
        name: &'static str,
        promise: &'static str,
        ended: Result<Result<(), Unsupported>, Box<dyn Any + Send>>,
    ) {
        let of = self.of;
        match ended {
            Ok(Ok(())) => self.report.passed.push(name),
            Ok(Err(missing)) => {
                println!(
                    "{of} conformance, case `{name}`: skipped, because `{}` is unsupported",
                    missing.0
                );
                self.report.skipped.push((name, missing));
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
                self.failed.push(format!(
                    "{of} conformance, case `{name}`: {}\npromised: {promise}",
                    text.unwrap_or_default()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(run: impl FnOnce(&mut Suite)) -> String {
        let whole = || {
            let mut suite = Suite::new("log");
            run(&mut suite);
            suite.finish()
        };
        let panic = catch_unwind(AssertUnwindSafe(whole)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    #[test]
    fn a_failure_tells_the_case_and_the_promise() {
        let expected = "log conformance, case `gaps`: 3 is missing\npromised: gaps are allowed";
        let failed = |suite: &mut Suite| {
            suite.case("gaps", "gaps are allowed", || panic!("{} is missing", 3));
        };
        assert_eq!(said(failed), expected);
        let failed_later = |suite: &mut Suite| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let run = async {
                tokio::task::yield_now().await;
                panic!("3 is missing")
            };
            runtime.block_on(suite.case_async("gaps", "gaps are allowed", run));
        };
        assert_eq!(said(failed_later), expected);
    }

    #[test]
    fn a_suite_goes_on_and_tells_all_that_failed() {
        let said = said(|suite| {
            suite.case("first", "one", || panic!("a"));
            suite.case("second", "two", || Ok(()));
            suite.case("third", "three", || panic!("b"));
        });
        let first = "log conformance, case `first`: a\npromised: one";
        let third = "log conformance, case `third`: b\npromised: three";
        let expected = format!("{first}\n\n{third}\n\n2 cases failed, 1 passed");
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_skipped_is_told() {
        let mut suite = Suite::new("log");
        suite.case("a", "", || Ok(()));
        suite.case("b", "", || Err(Unsupported("fly")));
        let report = suite.finish();
        assert_eq!(report.passed, ["a"]);
        assert_eq!(report.skipped, [("b", Unsupported("fly"))]);
    }
}
