//! `verify-audit-log`: follows the chain, in the database or in exported files, and names the first entry that does not
//! belong.

use std::fs::File;
use std::io::Read;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use futures_util::{TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;

use super::progress::Progress;
use super::table::harmless;
use super::{Output, database, screen};
use crate::audit::{AuditKeys, Chain, Checkpoint, Checkpoints, Finding, Gaps, Kind, Records, follow};
use crate::store::audit_log::{Selection, sealed};
use crate::store::audit_seals;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Exported files, in their order; the database unless given
    files: Vec<PathBuf>,
    /// The files begin behind this position
    #[arg(long, value_name = "POSITION", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
    /// The files hold selected entries (--event-type, --user …): each is checked for itself
    #[arg(long)]
    selected: bool,
    /// A file of published checkpoints: finds a tail that was cut off, and a chain that was made anew
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// A file with the public keys (PEM) of checkpoints; may be given several times
    #[arg(long = "public-key", value_name = "FILE")]
    public_keys: Vec<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// The log is not what it was: an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("the audit log does not verify")]
pub(super) struct NotVerified;

/// What was found.
#[derive(Serialize)]
struct Report {
    verified: bool,
    entries: u64,
    unsealed: u64,
    dropped: i64,
    last_position: i64,
    last_seal: Option<String>,
    checkpoints: u64,
    signatures: &'static str,
    finding: Option<Finding>,
}

pub(super) async fn verify(arguments: VerifyArgs) -> anyhow::Result<()> {
    let keys = read_keys(&arguments.public_keys)?;
    let published = arguments.checkpoints.as_deref().map(open).transpose()?.map(Checkpoints::new);
    let progress = Progress::new("following entries", None);
    let mut check = Check { keys, published: published.map(Iterator::peekable), checkpoints: 0, signed: 0, progress };
    let (chain, outcome) = if arguments.files.is_empty() {
        let pool = database("verify-audit-log", json!({"public_keys": arguments.public_keys.len()})).await?;
        check.database(&pool).await?
    } else {
        check.files(&arguments).await?
    };
    let report = Report {
        verified: outcome.is_ok(),
        entries: chain.entries,
        unsealed: chain.unsealed,
        dropped: chain.missing,
        last_position: chain.position(),
        last_seal: chain.seal(),
        checkpoints: check.checkpoints,
        signatures: if check.keys.is_some() { "checked" } else { "not checked: no --public-key" },
        finding: outcome.err(),
    };
    drop(check);
    print(&report, arguments.output)?;
    if report.verified { Ok(()) } else { Err(NotVerified.into()) }
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    match (output, &report.finding) {
        (Output::Json, _) => screen::print_json(&json!(report)),
        (Output::Table, Some(Finding { kind, position, entry_id, detail })) => {
            let number = |number: Option<i64>| number.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
            let kind = json!(kind);
            let kind = kind.as_str().unwrap_or_default();
            let place = format!("position {}, entry {}", number(*position), number(*entry_id));
            screen::print_verdict("NOT VERIFIED", false, &format!(": {kind} at {place}: {}", harmless(detail)))
        }
        (Output::Table, None) => {
            let Report { entries, unsealed, dropped, last_position, checkpoints, signatures, .. } = report;
            let rest = format!(
                ": {entries} entries up to position {last_position}, {unsealed} not sealed yet, {dropped} missing as they \
                 may; {checkpoints} checkpoint(s), signatures {signatures}"
            );
            screen::print_verdict("verified", true, &rest)
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("can't read {}", path.display()))
}

fn read_keys(paths: &[PathBuf]) -> anyhow::Result<Option<AuditKeys>> {
    let mut pems = String::new();
    for path in paths {
        open(path)?.read_to_string(&mut pems).with_context(|| format!("can't read {}", path.display()))?;
    }
    if paths.is_empty() {
        return Ok(None);
    }
    Ok(Some(AuditKeys::from_pem(&pems).context("--public-key")?))
}

/// What the chain is compared with while it is followed.
struct Check {
    keys: Option<AuditKeys>,
    published: Option<Peekable<Checkpoints<File>>>,
    checkpoints: u64,
    /// Checkpoints whose signatures hold.
    signed: u64,
    progress: Progress,
}

type Outcome = (Chain, Result<(), Finding>);

impl Check {
    async fn files(&mut self, arguments: &VerifyArgs) -> anyhow::Result<Outcome> {
        let gaps = if arguments.selected { Gaps::Any } else { Gaps::None };
        let mut chain = Chain::new(arguments.after, gaps);
        for path in &arguments.files {
            let records = match Records::new(open(path)?) {
                Ok(records) => stream::iter(records),
                Err(error) => return Ok((chain, Err(malformed(path, &error)))),
            };
            let before = chain.position();
            let outcome = follow(&mut chain, records, |chain| self.held(chain)).await;
            let outcome = outcome.unwrap_or_else(|error| Err(malformed(path, &error)));
            if outcome.is_err() {
                return Ok((chain, outcome));
            }
            let positions = format!("positions {} to {}", before.saturating_add(1), chain.position());
            self.progress = Progress::new("following entries", None);
            screen::note(&format!("{}: {positions}", path.display()));
        }
        let outcome = self.rest(&chain)?.and_then(|()| self.is_signed(&chain));
        Ok((chain, outcome))
    }

    async fn database(&mut self, pool: &PgPool) -> anyhow::Result<Outcome> {
        let mut connection = pool.acquire().await?;
        let dropped = audit_seals::dropped(&mut connection).await?;
        let entries: i64 = dropped.iter().map(|each| each.entries).sum();
        let unsigned = self.keys.as_ref().and_then(|keys| {
            dropped.iter().find_map(|each| each.check(keys).err().map(|why| (each.partition_name.clone(), why)))
        });
        let head = audit_seals::head(&mut connection).await?.map_or(0, |head| head.position);
        drop(connection);
        self.progress = Progress::new("following entries", u64::try_from(head.saturating_sub(entries)).ok());
        let mut chain = Chain::new(0, Gaps::Dropped(dropped));
        if let Some((name, why)) = unsigned {
            let detail = format!("the record of the dropped partition {name} does not hold: {why}");
            return Ok((chain, Err(Finding { kind: Kind::Signature, position: None, entry_id: None, detail })));
        }
        let selection = Selection::default();
        let records = sealed(pool, &selection, 0).map_err(anyhow::Error::from);
        let mut outcome = follow(&mut chain, records, |chain| self.held(chain)).await?;
        if outcome.is_ok() {
            outcome = chain.end(head, entries);
        }
        if let Err(finding) = outcome {
            return Ok((chain, Err(explain(pool, finding).await?)));
        }
        let outcome = self.afterwards(pool, &mut chain).await?;
        Ok((chain, outcome))
    }

    /// What can be checked when the chain itself holds.
    async fn afterwards(&mut self, pool: &PgPool, chain: &mut Chain) -> anyhow::Result<Result<(), Finding>> {
        let own = self.own_checkpoints(pool, chain).await?;
        if let Err(finding) = own.and(self.rest(chain)?).and_then(|()| self.is_signed(chain)) {
            return Ok(Err(finding));
        }
        let mut connection = pool.acquire().await?;
        if let Some(id) = audit_seals::slipped_in(&mut connection).await? {
            let detail = "it has no seal although later ones have: it was inserted, or its seal was removed".to_owned();
            return Ok(Err(Finding { kind: Kind::Inserted, position: None, entry_id: Some(id), detail }));
        }
        chain.unsealed = u64::try_from(audit_seals::count_unsealed(&mut connection).await?).unwrap_or_default();
        Ok(Ok(()))
    }

    /// After each entry: the published checkpoints up to it.
    fn held(&mut self, chain: &Chain) -> anyhow::Result<Result<(), Finding>> {
        self.progress.add(1);
        while let Some(checkpoint) = self.next_published(|position| position <= chain.position())? {
            if let Err(finding) = self.signature(&checkpoint).and_then(|()| chain.compare(&checkpoint)) {
                return Ok(Err(finding));
            }
        }
        Ok(Ok(()))
    }

    /// At the end: the published checkpoints behind it.
    fn rest(&mut self, chain: &Chain) -> anyhow::Result<Result<(), Finding>> {
        while let Some(checkpoint) = self.next_published(|_| true)? {
            if let Err(finding) = self.signature(&checkpoint).and_then(|()| chain.finish(&checkpoint)) {
                return Ok(Err(finding));
            }
        }
        Ok(Ok(()))
    }

    fn next_published(&mut self, wanted: impl Fn(i64) -> bool) -> anyhow::Result<Option<Checkpoint>> {
        let Some(published) = &mut self.published else { return Ok(None) };
        let due = |next: &anyhow::Result<Checkpoint>| next.as_ref().map_or(true, |next| wanted(next.position));
        published.next_if(due).transpose().context("--checkpoints")
    }

    /// The checkpoints in the database, each with the seal that the chain has there.
    async fn own_checkpoints(&mut self, pool: &PgPool, chain: &Chain) -> anyhow::Result<Result<(), Finding>> {
        let mut rows = audit_seals::checkpoints(pool);
        while let Some((checkpoint, in_chain)) = rows.try_next().await? {
            if let Err(finding) = self.signature(&checkpoint) {
                return Ok(Err(finding));
            }
            if let Some(seal) = &in_chain
                && *seal != checkpoint.seal
            {
                return Ok(Err(checkpoint.differs()));
            }
            if in_chain.is_none() {
                return Ok(chain.finish(&checkpoint));
            }
        }
        Ok(Ok(()))
    }

    /// From the first signed one on, each checkpoint must be.
    fn signature(&mut self, checkpoint: &Checkpoint) -> Result<(), Finding> {
        self.checkpoints = self.checkpoints.saturating_add(1);
        let Some(keys) = &self.keys else { return Ok(()) };
        match checkpoint.check(keys) {
            Ok(()) => self.signed = self.signed.saturating_add(1),
            Err(_) if checkpoint.signature.is_none() && self.signed == 0 => {}
            Err(why) => {
                let detail = format!("the checkpoint here does not hold: {why}");
                return Err(Finding::at(Kind::Signature, checkpoint.position, None, detail));
            }
        }
        Ok(())
    }

    fn is_signed(&self, chain: &Chain) -> Result<(), Finding> {
        let unsigned = self.keys.is_some() && self.signed == 0 && chain.entries > 0;
        if !unsigned {
            return Ok(());
        }
        let detail = "no signed checkpoint is there to check (--checkpoints FILE)";
        Err(Finding::at(Kind::Signature, chain.position(), None, detail))
    }
}

fn malformed(path: &Path, error: &anyhow::Error) -> Finding {
    let detail = format!("{}: {error:#}", path.display());
    Finding { kind: Kind::Malformed, position: None, entry_id: None, detail }
}

/// Says more about an entry that is missing, from what else the database has.
async fn explain(pool: &PgPool, mut finding: Finding) -> anyhow::Result<Finding> {
    let (Kind::Removed, Some(position), None) = (finding.kind, finding.position, finding.entry_id) else {
        return Ok(finding);
    };
    match audit_seals::at(&mut *pool.acquire().await?, position).await? {
        None => finding.detail.push_str("; its seal was removed"),
        Some((id, exists)) => {
            finding.entry_id = Some(id);
            if exists {
                finding.kind = Kind::Changed;
                "the time of the entry is not what was sealed".clone_into(&mut finding.detail);
            }
        }
    }
    Ok(finding)
}
