//! How the audit log is sealed and sent on.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use crate::audit::AuditKey;

/// How the audit log is sealed and sent on.
pub struct AuditConfig {
    /// `AUDIT_SIGNING_KEY`: signs checkpoints.
    pub key: Option<AuditKey>,
    /// `AUDIT_SEAL_SECONDS`, 5 unless set.
    pub seal_interval: Duration,
    /// `AUDIT_CHECKPOINT_SECONDS`, 60 unless set.
    pub checkpoint_interval: Duration,
    /// `AUDIT_CHECKPOINT_FILE`: each checkpoint is added to it as a line of JSON.
    pub checkpoint_file: Option<PathBuf>,
    /// `AUDIT_CHECKPOINT_URL`: each checkpoint is posted to it as JSON.
    pub checkpoint_url: Option<String>,
    /// `AUDIT_FILE`: each sealed entry is added to it as a line of JSON.
    pub file: Option<PathBuf>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<AuditConfig> {
    let key = read_key(reader);
    let seal = reader.or_default("AUDIT_SEAL_SECONDS", "a number of seconds from 1 to 3600");
    let seal = reader.within("AUDIT_SEAL_SECONDS", seal, 1..=3600);
    let checkpoint = reader.or_default("AUDIT_CHECKPOINT_SECONDS", "a number of seconds from 1 to 86400");
    let checkpoint = reader.within("AUDIT_CHECKPOINT_SECONDS", checkpoint, 1..=86_400);
    let checkpoint_url = reader.get("AUDIT_CHECKPOINT_URL");
    let is_url = |url: &String| url.parse().is_ok_and(|url: http::Uri| url.host().is_some() && url.scheme().is_some());
    if checkpoint_url.as_ref().is_some_and(|url| !is_url(url)) {
        // It may hold a password, so it is not shown.
        reader.problem("AUDIT_CHECKPOINT_URL", "is not a URL", "set it to https://HOST/PATH");
    }
    Some(AuditConfig {
        key: key.ok()?,
        seal_interval: Duration::from_secs(seal?),
        checkpoint_interval: Duration::from_secs(checkpoint?),
        checkpoint_file: reader.get("AUDIT_CHECKPOINT_FILE").map(PathBuf::from),
        checkpoint_url,
        file: reader.get("AUDIT_FILE").map(PathBuf::from),
    })
}

/// The key, if there is one; an error if it can't be used.
pub(super) fn read_key(reader: &mut Reader<'_>) -> Result<Option<AuditKey>, ()> {
    let Some(pem) = reader.get("AUDIT_SIGNING_KEY") else { return Ok(None) };
    let remedy = "make one with `openssl genpkey -algorithm ed25519`";
    let key = AuditKey::from_pem(&pem);
    key.map(Some).map_err(|error| reader.problem("AUDIT_SIGNING_KEY", &format!("can't be used: {error}"), remedy))
}
