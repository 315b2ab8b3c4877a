//! What came of the comparisons.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::bail;

use super::case::Case;
use super::stricter::Stricter;
use crate::wire::Answer;

/// More failures than this are counted, not shown.
const MOST_SHOWN: usize = 60;

/// Counts, and the failures.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    compared: usize,
    both_passed: usize,
    both_refused: usize,
    explained: usize,
    stricter: BTreeMap<Stricter, usize>,
    looser: Failures,
    unexplained: Failures,
}

/// What failed, by what was changed: how often, and at one of the routes.
#[derive(Debug, Default)]
struct Failures {
    cases: BTreeMap<String, (usize, String)>,
}

impl Failures {
    fn add(&mut self, case: &Case, told: String) {
        let (count, _) = self.cases.entry(case.changes.clone()).or_insert((0, told));
        *count = count.saturating_add(1);
    }

    fn count(&self) -> usize {
        self.cases.values().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (changes, (count, told)) in self.cases.iter().take(MOST_SHOWN) {
            write!(formatter, "\n  {count} × {changes}: {told}")?;
        }
        Ok(())
    }
}

impl Verdicts {
    /// Compares the answers to one request.
    pub(crate) fn add(&mut self, paths: &str, case: &Case, ours: &Answer, native: &Answer) {
        self.compared = self.compared.saturating_add(1);
        let told = || format!("at {}, {paths}: ours {}, jwt_authn {}", case.route, ours.status, native.status);
        // It let a claim become a header that broke the request behind it.
        let broken = native.status == 503;
        match (ours.passed(), native.passed() || broken) {
            (false, false) => self.both_refused = self.both_refused.saturating_add(1),
            (true, false) => self.looser.add(case, told()),
            (false, true) => self.add_stricter(case, told),
            (true, true) if broken => self.both_passed = self.both_passed.saturating_add(1),
            (true, true) => match case.invented(ours, native) {
                Some(provider) => self.looser.add(case, format!("{}: another subject of {provider}", told())),
                None => self.both_passed = self.both_passed.saturating_add(1),
            },
        }
    }

    fn add_stricter(&mut self, case: &Case, told: impl FnOnce() -> String) {
        if case.may_be_stricter.is_empty() {
            return self.unexplained.add(case, told());
        }
        self.explained = self.explained.saturating_add(1);
        for category in &case.may_be_stricter {
            let count = self.stricter.entry(*category).or_default();
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn both_passed(&self) -> usize {
        self.both_passed
    }

    /// An error when the filter was looser, or stricter without a reason; and for a category that no case was in.
    pub(crate) fn judge(&self) -> anyhow::Result<()> {
        let (looser, unexplained) = (self.looser.count(), self.unexplained.count());
        if looser == 0 && unexplained == 0 {
            return match Stricter::ALL.iter().find(|category| !self.stricter.contains_key(category)) {
                Some(category) => bail!("the filter is not stricter any more in {}", category.name()),
                None => Ok(()),
            };
        }
        bail!(
            "looser than jwt_authn in {looser} cases:{}\nstricter without a category in {unexplained} cases:{}",
            self.looser,
            self.unexplained,
        )
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agreed = self.both_passed.saturating_add(self.both_refused);
        let (passed, refused) = (self.both_passed, self.both_refused);
        writeln!(formatter, "{} compared, {agreed} agreed ({passed} passed, {refused} refused)", self.compared)?;
        let (looser, unexplained) = (self.looser.count(), self.unexplained.count());
        writeln!(formatter, "{looser} looser, {} stricter, {unexplained} stricter without a category", self.explained)?;
        for (category, count) in &self.stricter {
            writeln!(formatter, "{count:>6} {}", category.name())?;
        }
        Ok(())
    }
}
