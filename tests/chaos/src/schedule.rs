//! Which case comes when.

use testkit::choices::Random;

use crate::matrix::{Case, Part, cases};

/// Cases without end: the parts take turns, each goes through its own in an order of the seed's, and then through them
/// again in another.
pub(crate) struct Schedule {
    random: Random,
    turns: Vec<(Part, Vec<Case>)>,
    next: usize,
}

impl Schedule {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, turns: Part::ALL.map(|part| (part, Vec::new())).to_vec(), next: 0 }
    }
}

impl Iterator for Schedule {
    type Item = Case;

    fn next(&mut self) -> Option<Case> {
        let turn = self.next % self.turns.len();
        self.next += 1;
        let (part, left) = self.turns.get_mut(turn)?;
        if left.is_empty() {
            *left = shuffled(cases(*part), &mut self.random);
        }
        left.pop()
    }
}

fn shuffled<T>(mut list: Vec<T>, random: &mut Random) -> Vec<T> {
    let mut order = Vec::new();
    while !list.is_empty() {
        order.push(list.swap_remove(random.below(list.len())));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(seed: u64, count: usize) -> Vec<(Part, &'static str)> {
        Schedule::new(Random::new(seed)).take(count).map(|case| (case.part, case.name)).collect()
    }

    #[test]
    fn a_seed_has_one_order_and_every_case_comes() {
        assert_eq!(names(1, 70), names(1, 70));
        assert_ne!(names(1, 70), names(2, 70));
        let all: BTreeSet<_> =
            Part::ALL.iter().flat_map(|part| cases(*part).into_iter().map(|case| (part.name(), case.name))).collect();
        let come: BTreeSet<_> = names(3, 65).into_iter().map(|(part, name)| (part.name(), name)).collect();
        assert_eq!(come, all);
        let first: BTreeSet<_> = names(4, 5).into_iter().map(|(part, _)| part).collect();
        assert_eq!(first.len(), 5, "the parts take turns");
    }
}
