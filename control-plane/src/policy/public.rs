//! Issuers from which anybody in the world can get a token. A rule about one of them must say whose tokens it means.

use super::claims::{ClaimPath, Condition};

struct PublicIssuer {
    url: &'static str,
    /// The claims that say on whose behalf its callers act.
    telling: &'static [&'static str],
    /// The parts of which one must come first in a subject (`PART:VALUE:…`) for it to say that, too. None: any subject
    /// does.
    first_in_subject: &'static [&'static str],
}

const PUBLIC: &[PublicIssuer] = &[
    PublicIssuer {
        url: "https://token.actions.githubusercontent.com",
        telling: &[
            "repository_owner_id",
            "repository_id",
            "enterprise_id",
            "repository_owner",
            "repository",
            "enterprise",
            "sub",
        ],
        // Every organisation chooses the parts of its subjects and their order, so that one that begins with
        // `environment:prod` can be had by all.
        // https://docs.github.com/en/actions/reference/security/oidc#customizing-the-subject-claims-for-an-organization-or-repository
        first_in_subject: &[
            "repo",
            "repository",
            "repository_id",
            "repository_owner",
            "repository_owner_id",
            "enterprise",
            "enterprise_id",
        ],
    },
    PublicIssuer {
        url: "https://gitlab.com",
        telling: &["namespace_id", "project_id", "namespace_path", "project_path", "sub"],
        // A project may choose what follows, not this.
        // https://docs.gitlab.com/ci/secrets/id_token_authentication/
        first_in_subject: &["project_path"],
    },
    PublicIssuer { url: "https://accounts.google.com", telling: &["hd", "email", "sub"], first_in_subject: &[] },
];

/// What is wrong if the conditions leave open whose tokens are meant.
pub(super) fn too_broad(issuer: &str, conditions: &[(ClaimPath, Condition)]) -> Option<String> {
    let public = PUBLIC.iter().find(|public| public.url == issuer)?;
    if conditions.iter().any(|(path, condition)| public.is_told_by(path.as_str(), condition)) {
        return None;
    }
    let about_subjects = match public.first_in_subject {
        [] => String::new(),
        parts => format!("; `sub` says it if it begins with {}:", parts.join(":, ")),
    };
    Some(format!(
        "too broad: anybody can get a token of {issuer}; say whose you mean by one of {}, exactly or by a pattern that \
         begins with a whole owner{about_subjects}",
        public.telling.join(", ")
    ))
}

impl PublicIssuer {
    /// Whether this condition says whose tokens are meant.
    fn is_told_by(&self, claim: &str, condition: &Condition) -> bool {
        let begins_well = |text: &str| {
            let first = text.split_once(':').map(|(first, _)| first);
            self.first_in_subject.is_empty() || first.is_some_and(|first| self.first_in_subject.contains(&first))
        };
        let subject_tells = claim != "sub" || condition.beginnings().into_iter().all(begins_well);
        self.telling.contains(&claim) && subject_tells && is_narrow(condition)
    }
}

/// A pattern must reach beyond the owner's name: `repo:acme*` is `acme-evil`, too.
fn is_narrow(condition: &Condition) -> bool {
    let Condition::Like(glob, _) = condition else { return true };
    let prefix = glob.prefix();
    let path = prefix.split_once(':').map_or(prefix, |(_, path)| path);
    path.find(['/', ':']).is_some_and(|at| at > 0)
}
