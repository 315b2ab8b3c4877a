//! Follows the chain through entries and names the first that does not belong.

use futures_util::{Stream, TryStreamExt as _};
use serde::Serialize;

use super::seal::{GENESIS, Seal, parse_seal, seal};
use super::{Checkpoint, Dropped};
use crate::store::audit_log::Record;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An entry, or what ties it to the one before, is not what was sealed.
    Changed,
    /// An entry is missing.
    Removed,
    /// An entry is there that was not sealed here.
    Inserted,
    /// An entry stands at another's place.
    Reordered,
    /// A seal is not the one of its entry.
    SealChanged,
    /// The end is missing, by a checkpoint.
    Truncated,
    /// The chain is another one than at the time of a checkpoint.
    Rewritten,
    /// A signature does not hold.
    Signature,
    /// A file can't be read as what it should be.
    Malformed,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where in the chain, if that is known.
    pub position: Option<i64>,
    /// Of which entry, if that is known.
    pub entry_id: Option<i64>,
    /// The same for people.
    pub detail: String,
}

impl Finding {
    /// At a position.
    pub fn at(kind: Kind, position: i64, entry_id: Option<i64>, detail: impl Into<String>) -> Self {
        Self { kind, position: Some(position), entry_id, detail: detail.into() }
    }
}

/// Which positions may be missing.
#[derive(Clone, Debug)]
pub enum Gaps {
    /// None.
    None,
    /// Any: the entries were selected. Each is still checked for itself.
    Any,
    /// Those of partitions that were dropped.
    Dropped(Vec<Dropped>),
}

/// The chain as far as it was followed.
#[derive(Clone, Debug)]
pub struct Chain {
    gaps: Gaps,
    position: i64,
    /// The seal at `position`; not known where a file begins in the middle.
    seal: Option<Seal>,
    /// Sealed entries that hold.
    pub entries: u64,
    /// Entries that are not sealed yet.
    pub unsealed: u64,
    /// Positions without an entry, where that is allowed.
    pub missing: i64,
}

/// A finding, with what it takes to look for the entry that would belong there.
struct Stray {
    finding: Finding,
    tie: Option<Tie>,
}

type Step<T> = Result<T, Box<Stray>>;

/// How the entry at a position is tied.
struct Tie {
    position: i64,
    previous: Seal,
    seal: Seal,
    /// The seal that the entry which stands there would have.
    actual: Seal,
}

fn stray(finding: Finding, tie: Option<Tie>) -> Box<Stray> {
    Box::new(Stray { finding, tie })
}

/// Where the search for a stray entry ends.
const SEARCH: usize = 100_000;

impl Chain {
    /// Begins behind a position.
    pub fn new(after: i64, gaps: Gaps) -> Self {
        Self { gaps, position: after, seal: (after == 0).then_some(GENESIS), entries: 0, unsealed: 0, missing: 0 }
    }

    /// The last position that was seen.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The seal there, in hex.
    pub fn seal(&self) -> Option<String> {
        self.seal.map(hex::encode)
    }

    /// Takes the next entry.
    pub fn take(&mut self, record: &Record) -> Result<(), Finding> {
        self.step(record).map_err(|stray| stray.finding)
    }

    fn step(&mut self, record: &Record) -> Step<()> {
        let Some((position, previous, sealed)) = links(record)? else {
            self.unsealed = self.unsealed.saturating_add(1);
            return Ok(());
        };
        let bad = |kind, detail: &str| stray(Finding::at(kind, position, Some(record.id), detail), None);
        if self.unsealed > 0 {
            return Err(bad(Kind::Inserted, "an entry without a seal stands before it"));
        }
        if position <= self.position {
            return Err(bad(Kind::Inserted, "an entry with this position, or a later one, has been there"));
        }
        let next = self.position.saturating_add(1);
        let Some(previous) = previous else {
            // What a database lacks when seals were removed; with the entries of all before it, perhaps.
            let missing = self.first_gap(next, position).unwrap_or_else(|| position.saturating_sub(1));
            let detail = format!("what was sealed at position {missing} is missing, with its seal");
            return Err(stray(Finding::at(Kind::Removed, missing, None, detail), None));
        };
        if position > next {
            self.skip(next, position, previous, sealed)?;
        } else if self.seal.is_some_and(|seal| seal != previous) {
            return Err(bad(Kind::Changed, "its previous_seal is not the seal before it"));
        }
        let actual = seal(position, &previous, record);
        if actual != sealed {
            let finding = Finding::at(Kind::Changed, position, Some(record.id), "the entry is not what was sealed");
            return Err(stray(finding, Some(Tie { position, previous, seal: sealed, actual })));
        }
        self.position = position;
        self.seal = Some(sealed);
        self.entries = self.entries.saturating_add(1);
        Ok(())
    }

    /// Lets positions be missing, if they may.
    fn skip(&mut self, next: i64, position: i64, previous: Seal, sealed: Seal) -> Step<()> {
        if let Some(missing) = self.first_gap(next, position) {
            let tie = Tie { position: missing, previous, seal: sealed, actual: sealed };
            let detail = format!("the entry at position {missing} is missing; the next is at {position}");
            return Err(stray(Finding::at(Kind::Removed, missing, None, detail), Some(tie)));
        }
        self.missing = self.missing.saturating_add(position.saturating_sub(next));
        Ok(())
    }

    /// The first position from `next` on and before `position` that may not be missing.
    fn first_gap(&self, next: i64, position: i64) -> Option<i64> {
        let mut at = next;
        while at < position {
            at = match &self.gaps {
                Gaps::None => return Some(at),
                Gaps::Any => return None,
                Gaps::Dropped(dropped) => {
                    let covering = dropped.iter().filter(|each| each.covers(at)).filter_map(|each| each.last_position);
                    let Some(last) = covering.max() else { return Some(at) };
                    last.saturating_add(1)
                }
            };
        }
        None
    }

    /// Compares with a checkpoint of the last position or before; those of positions that were not seen say nothing.
    pub fn compare(&self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        let differs = checkpoint.position == self.position && self.seal().is_some_and(|seal| seal != checkpoint.seal);
        if differs { Err(checkpoint.differs()) } else { Ok(()) }
    }

    /// When all entries of a database were taken: whether those up to the last seal are there, and as many were dropped
    /// as are missing.
    pub fn end(&mut self, last: i64, dropped: i64) -> Result<(), Finding> {
        if last > self.position {
            let nothing = self.seal.unwrap_or(GENESIS);
            let next = self.position.saturating_add(1);
            self.skip(next, last.saturating_add(1), nothing, nothing).map_err(|stray| stray.finding)?;
        }
        if self.missing == dropped {
            return Ok(());
        }
        let detail =
            format!("{} entries are missing, but the partitions that were dropped had {dropped}", self.missing);
        Err(Finding { kind: Kind::Removed, position: None, entry_id: None, detail })
    }

    /// Compares with a checkpoint when all entries were taken.
    pub fn finish(&self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        if checkpoint.position > self.position {
            let detail = format!(
                "the chain ends at position {}, but went to {} when the checkpoint of {} was made",
                self.position,
                checkpoint.position,
                super::time::text(checkpoint.made_at)
            );
            return Err(Finding::at(Kind::Truncated, self.position.saturating_add(1), None, detail));
        }
        Ok(())
    }
}

impl Checkpoint {
    /// The chain has another seal there.
    pub fn differs(&self) -> Finding {
        let made_at = super::time::text(self.made_at);
        let detail = format!("the chain was another one when the checkpoint of {made_at} was made: it was made anew");
        Finding::at(Kind::Rewritten, self.position, None, detail)
    }
}

/// Position, seal before and seal; none of the three if the entry is not sealed. The seal before may be missing alone:
/// that is how a database tells of an entry whose seal is there, but not the one before.
fn links(record: &Record) -> Step<Option<(i64, Option<Seal>, Seal)>> {
    let seals = [&record.previous_seal, &record.seal].map(|hex| hex.as_deref().and_then(parse_seal));
    match (record.position, seals) {
        (Some(position), [Some(previous), Some(seal)]) => Ok(Some((position, Some(previous), seal))),
        (Some(position), [None, Some(seal)]) if record.previous_seal.is_none() => Ok(Some((position, None, seal))),
        (None, [None, None]) if record.previous_seal.is_none() && record.seal.is_none() => Ok(None),
        (position, _) => {
            let detail = "position, previous_seal and seal do not go together".to_owned();
            Err(stray(Finding { kind: Kind::SealChanged, position, entry_id: Some(record.id), detail }, None))
        }
    }
}

/// Follows the chain through a stream of entries to its end or to the first that does not belong. After each that holds,
/// `held` may compare it with checkpoints, and tell of the progress.
pub async fn follow(
    chain: &mut Chain,
    mut records: impl Stream<Item = anyhow::Result<Record>> + Unpin,
    mut held: impl FnMut(&Chain) -> anyhow::Result<Result<(), Finding>>,
) -> anyhow::Result<Result<(), Finding>> {
    while let Some(record) = records.try_next().await? {
        match chain.step(&record) {
            Ok(()) => {
                if let Err(finding) = held(chain)? {
                    return Ok(Err(finding));
                }
            }
            Err(stray) => {
                let Stray { finding, tie } = *stray;
                return match tie {
                    Some(tie) => diagnose(finding, &tie, records).await.map(Err),
                    None => Ok(Err(finding)),
                };
            }
        }
    }
    Ok(Ok(()))
}

/// Looks on for what would belong there, to tell what happened.
async fn diagnose(
    finding: Finding,
    tie: &Tie,
    mut records: impl Stream<Item = anyhow::Result<Record>> + Unpin,
) -> anyhow::Result<Finding> {
    for step in 0..SEARCH {
        let Some(record) = records.try_next().await? else { break };
        let reordered = |what: &str| Finding {
            kind: Kind::Reordered,
            detail: format!("{what} stands further on, as entry {}", record.id),
            ..finding.clone()
        };
        if finding.kind == Kind::Removed && record.position == Some(tie.position) {
            return Ok(Finding { entry_id: Some(record.id), ..reordered("the entry that belongs here") });
        }
        if finding.kind == Kind::Removed {
            continue;
        }
        if seal(tie.position, &tie.previous, &record) == tie.seal {
            return Ok(reordered("the entry that was sealed here"));
        }
        let next = tie.position.saturating_add(1);
        let own = record.seal.as_deref().and_then(parse_seal);
        if step == 0 && record.position == Some(next) && own == Some(seal(next, &tie.actual, &record)) {
            let detail = "the seal is not the one of its entry, and the next entry goes with the right one".to_owned();
            return Ok(Finding { kind: Kind::SealChanged, detail, ..finding });
        }
    }
    Ok(finding)
}

#[cfg(test)]
mod tests {
    use super::super::seal::tests::record;
    use super::*;
    use chrono::DateTime;
    use futures_util::stream;

    fn chain_of(count: i64) -> Vec<Record> {
        let mut previous = GENESIS;
        (1..=count)
            .map(|position| {
                let plain = record(position + 100);
                let sealed = seal(position, &previous, &plain);
                let previous_seal = Some(hex::encode(previous));
                previous = sealed;
                Record { position: Some(position), previous_seal, seal: Some(hex::encode(sealed)), ..plain }
            })
            .collect()
    }

    fn followed(records: Vec<Record>, gaps: Gaps) -> Result<Chain, (Kind, i64)> {
        let mut chain = Chain::new(0, gaps);
        let entries = stream::iter(records.into_iter().map(Ok));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(follow(&mut chain, entries, |_| Ok(Ok(())))).unwrap();
        outcome.map(|()| chain).map_err(|finding| (finding.kind, finding.position.unwrap()))
    }

    fn broken(change: impl FnOnce(&mut Vec<Record>)) -> (Kind, i64) {
        let mut records = chain_of(9);
        change(&mut records);
        followed(records, Gaps::None).err().unwrap()
    }

    #[test]
    fn a_whole_chain_holds_and_its_tail_may_wait_for_seals() {
        let mut records = chain_of(9);
        records.push(record(200));
        let chain = followed(records, Gaps::None).unwrap();
        assert_eq!((chain.entries, chain.unsealed, chain.position()), (9, 1, 9));
        assert_eq!(followed(Vec::new(), Gaps::None).unwrap().entries, 0);
    }

    #[test]
    fn each_way_of_tampering_is_named_at_its_place() {
        assert_eq!(broken(|all| all[4].event = "x".to_owned()), (Kind::Changed, 5));
        assert_eq!(broken(|all| drop(all.remove(4))), (Kind::Removed, 5));
        assert_eq!(broken(|all| drop(all.remove(0))), (Kind::Removed, 1));
        assert_eq!(broken(|all| all.insert(4, all[3].clone())), (Kind::Inserted, 4));
        assert_eq!(broken(|all| all.insert(4, record(7))), (Kind::Inserted, 5));
        assert_eq!(broken(|all| all.swap(4, 6)), (Kind::Reordered, 5));
        assert_eq!(broken(|all| all[4].seal = all[5].seal.clone()), (Kind::SealChanged, 5));
        assert_eq!(broken(|all| all[4].previous_seal = all[5].seal.clone()), (Kind::Changed, 5));
        assert_eq!(broken(|all| all[4].seal = None), (Kind::SealChanged, 5));
        // As a database shows it, where some are gone with their seals.
        let gone = |all: &mut Vec<Record>| {
            all.drain(3..6);
            all[3].previous_seal = None;
        };
        assert_eq!(broken(gone), (Kind::Removed, 4));
        assert_eq!(broken(|all| all[4].previous_seal = None), (Kind::Removed, 4), "the seal of the one before");
        let contents_swapped = |all: &mut Vec<Record>| {
            let [one, other] = [all[4].clone(), all[6].clone()];
            all[4] =
                Record { position: one.position, previous_seal: one.previous_seal, seal: one.seal, ..other.clone() };
            all[6] = Record { position: other.position, previous_seal: other.previous_seal, seal: other.seal, ..one };
        };
        assert_eq!(broken(contents_swapped), (Kind::Reordered, 5));
    }

    #[test]
    fn gaps_are_let_pass_where_they_may_be() {
        let mut records = chain_of(9);
        records.retain(|record| !matches!(record.position, Some(3 | 5)));
        let chain = followed(records.clone(), Gaps::Any).unwrap();
        assert_eq!((chain.entries, chain.missing), (7, 2));
        let dropped = |first, last| Dropped {
            partition_name: "audit_log_2026_01".to_owned(),
            entries: 2,
            first_position: Some(first),
            last_position: Some(last),
            seal: None,
            export_sha256: String::new(),
            made_at: DateTime::UNIX_EPOCH,
            key_id: None,
            signature: None,
        };
        assert_eq!(followed(records.clone(), Gaps::Dropped(vec![dropped(3, 5)])).unwrap().missing, 2);
        assert_eq!(followed(records, Gaps::Dropped(vec![dropped(3, 4)])).err().unwrap(), (Kind::Removed, 5));
    }

    #[test]
    fn checkpoints_find_a_cut_or_rewritten_chain() {
        let chain = followed(chain_of(9), Gaps::None).unwrap();
        let seal = chain.seal().unwrap();
        let checkpoint = |position, seal: &str| Checkpoint::new(position, seal.to_owned(), DateTime::UNIX_EPOCH, None);
        assert_eq!(chain.compare(&checkpoint(9, &seal)), Ok(()));
        assert_eq!(chain.compare(&checkpoint(9, &"ab".repeat(32))).err().map(|bad| bad.kind), Some(Kind::Rewritten));
        assert_eq!(chain.finish(&checkpoint(9, &seal)), Ok(()));
        assert_eq!(chain.finish(&checkpoint(10, &seal)).err().map(|bad| bad.position), Some(Some(10)));
    }
}
