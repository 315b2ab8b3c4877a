//! A policy as its file has it. Only the form is checked here; `check` sees to the meaning.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::runner::Mode;

/// Who may register which runners. Whoever no rule grants a request is refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The version of this format: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    pub(super) version: Spanned<u32>,
    /// Their order does not matter. None at all: nobody may do anything.
    pub(super) rules: Vec<RuleDocument>,
}

/// Whom it is about, and what they may. A request is granted if one rule by itself grants all of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleDocument {
    /// Unique; it stands in the audit log.
    #[schemars(with = "String", length(min = 1, max = 100))]
    pub(super) name: Spanned<String>,
    /// Whom it is about.
    #[schemars(with = "MatchDocument")]
    pub(super) r#match: Spanned<MatchDocument>,
    /// To whom their runners belong; each to its own principal (issuer and subject) unless given.
    #[serde(default)]
    #[schemars(with = "Option<OwnerDocument>")]
    pub(super) owner: Option<Spanned<OwnerDocument>>,
    /// What they may.
    #[schemars(with = "GrantDocument")]
    pub(super) grant: Spanned<GrantDocument>,
    /// False while the rule is tried out: what it would refuse is recorded, but not refused to those that it is about,
    /// as long as it would be allowed without a policy. True unless given.
    #[serde(default)]
    pub(super) enforce: Option<bool>,
}

/// Whom a rule is about: all of this must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchDocument {
    /// The issuer of their tokens, exactly. No other issuer's claims mean anything to this rule.
    #[serde(alias = "idp")]
    #[schemars(with = "String", length(min = 1))]
    pub(super) iss: Spanned<String>,
    /// What their claims must be: by name, or by JSON Pointer (`/kubernetes.io/namespace`) inside of one.
    #[schemars(with = "BTreeMap<String, ConditionDocument>", extend("minProperties" = 1))]
    pub(super) claims: Spanned<BTreeMap<String, Spanned<ConditionDocument>>>,
}

/// What a claim must be; of a list-valued claim, what one of its members must be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be a text, a whole number, true, false, {glob: PATTERN} or {in: [VALUE, …]}")]
pub(super) enum ConditionDocument {
    /// This, to the byte.
    Exact(Scalar),
    /// Like a pattern.
    Like(GlobDocument),
    /// One of these, to the byte.
    OneOf(InDocument),
}

/// A pattern.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobDocument {
    /// For the whole text; `*` stands for any characters, also none. It can't begin with one.
    #[schemars(regex(pattern = r"^[^*]"))]
    pub(super) glob: String,
}

/// A choice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InDocument {
    /// The values.
    #[schemars(length(min = 1))]
    pub(super) r#in: Vec<Scalar>,
}

/// A value. `1234` and `"1234"` are the same: issuers don't agree on which ids are numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A truth value.
    Truth(bool),
}

/// To whom runners belong.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be a name, or {claim: NAME}")]
pub(super) enum OwnerDocument {
    /// A name, such as that of a team: all rules with this owner share its runners and its limits.
    Name(#[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))] String),
    /// The value of a claim: callers of this issuer with the same value share runners and limits.
    Claim(ClaimDocument),
}

/// A claim.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimDocument {
    /// Its name, or a JSON Pointer inside of one.
    #[schemars(length(min = 1))]
    pub(super) claim: String,
}

/// What a rule grants. Nothing is granted that is not named here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GrantDocument {
    /// Where: `org:NAME`, `repo:OWNER/NAME`, `repo:OWNER/*` (all of an owner's repositories), `enterprise:SLUG`.
    #[schemars(with = "Vec<String>")]
    pub(super) targets: Vec<Spanned<String>>,
    /// Runner groups by id or name; the default group alone unless given.
    #[schemars(with = "Option<Vec<GroupDocument>>", length(min = 1))]
    pub(super) runner_groups: Option<Spanned<Vec<GroupDocument>>>,
    /// Labels that may be asked for, plain or with `*`. Names of systems and architectures and `self-hosted` only
    /// plainly, and names of GitHub's own machines never.
    #[schemars(with = "Vec<String>")]
    pub(super) labels: Vec<Spanned<String>>,
    /// What a machine may be given; both unless given.
    #[schemars(with = "Option<Vec<Mode>>", length(min = 1))]
    pub(super) modes: Option<Spanned<Vec<Mode>>>,
    /// Only runners that end after one job.
    pub(super) ephemeral_only: bool,
    /// With what names must begin; case does not count.
    #[schemars(with = "Option<String>", length(min = 1, max = 55))]
    pub(super) name_prefix: Option<Spanned<String>>,
    /// Whether `disable_update` must be set (true) or must not (false), in mode `registration-token`; both go unless
    /// given.
    pub(super) disable_update: Option<bool>,
    /// How many runners the owner may have.
    pub(super) limits: LimitsDocument,
    /// The calls below `/api/v1/admin`.
    pub(super) admin: bool,
}

/// A runner group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be a runner group's id or name")]
pub(super) enum GroupDocument {
    /// By id.
    Id(i64),
    /// By name.
    Name(String),
}

/// How many runners an owner may have.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsDocument {
    /// At a time, in whichever state until they are deleted.
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub(super) active: Option<Spanned<u32>>,
    /// At a time without a machine that has come on line yet.
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub(super) pending: Option<Spanned<u32>>,
    /// Newly registered within an hour, whatever has become of them.
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub(super) per_hour: Option<Spanned<u32>>,
}
