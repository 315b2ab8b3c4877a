//! Issuers from which anybody in the world can get a token. A rule about one of them must say whose tokens it means.

use super::claims::{ClaimPath, Condition};

/// An issuer, and the claims that say on whose behalf its callers act.
const PUBLIC: &[(&str, &[&str])] = &[
    (
        "https://token.actions.githubusercontent.com",
        &[
            "repository_owner_id",
            "repository_id",
            "enterprise_id",
            "repository_owner",
            "repository",
            "enterprise",
            "sub",
        ],
    ),
    ("https://gitlab.com", &["namespace_id", "project_id", "namespace_path", "project_path", "sub"]),
    ("https://accounts.google.com", &["hd", "email", "sub"]),
];

/// What is wrong if the conditions leave open whose tokens are meant.
pub(super) fn too_broad(issuer: &str, conditions: &[(ClaimPath, Condition)]) -> Option<String> {
    let (_, telling) = PUBLIC.iter().find(|(public, _)| *public == issuer)?;
    let tells = |(path, condition): &(ClaimPath, Condition)| telling.contains(&path.as_str()) && is_narrow(condition);
    if conditions.iter().any(tells) {
        return None;
    }
    Some(format!(
        "too broad: anybody can get a token of {issuer}; say whose you mean by one of {}, exactly or by a pattern that \
         begins with a whole owner",
        telling.join(", ")
    ))
}

/// A pattern must reach beyond the owner's name: `repo:acme*` is `acme-evil`, too.
fn is_narrow(condition: &Condition) -> bool {
    let Condition::Like(glob, _) = condition else { return true };
    let prefix = glob.prefix();
    let path = prefix.split_once(':').map_or(prefix, |(_, path)| path);
    path.find(['/', ':']).is_some_and(|at| at > 0)
}
