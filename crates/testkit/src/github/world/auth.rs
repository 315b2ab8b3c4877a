//! Who calls: the App with a JWT that it signed, an installation with a token that it was given, or somebody with a
//! personal access token.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::accounts::{after, client_id, owner_of, rfc3339};
use super::{Installation, Kind, Now, Request, Target, World};
use crate::github::faults::Fault;
use crate::github::input::Input;
use crate::github::reply::{Refusal, Reply};

/// An App's JWT may end at most this many seconds ahead.
const MAX_JWT_SECONDS: i64 = 600;
/// How long an installation token lives.
const INSTALLATION_TOKEN: Duration = Duration::from_hours(1);
const JWT_DOCUMENTATION: &str = "https://docs.github.com/rest";

/// A token of an installation. Permissions may be fewer than the installation's.
#[derive(Debug)]
pub(super) struct InstallationToken {
    pub(super) installation: u64,
    permissions: BTreeMap<String, String>,
    valid_from: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// What a call wants to do with a target's runners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl World {
    /// The App itself: its JWT is checked like GitHub does, and refused with GitHub's words.
    pub(super) fn require_app(&self, request: &Request, now: Now) -> Result<(), Refusal> {
        let jwt = credential(request).ok_or_else(undecodable)?;
        let claims = self.verified_claims(jwt).ok_or_else(undecodable)?;
        let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
        let present = now.servers.timestamp();
        match seconds("exp") {
            Some(exp) if exp > present.saturating_add(MAX_JWT_SECONDS) => {
                return Err(unauthorized("'Expiration time' claim ('exp') is too far in the future"));
            }
            Some(exp) if exp > present => {}
            _ => {
                return Err(unauthorized(
                    "'Expiration time' claim ('exp') must be a numeric value representing the future time at which \
                     the assertion expires",
                ));
            }
        }
        if seconds("iat").is_none_or(|iat| iat > present) {
            return Err(unauthorized(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            ));
        }
        let issuer = claims.get("iss").map(|iss| iss.as_str().map_or_else(|| iss.to_string(), str::to_owned));
        match issuer {
            Some(issuer) if issuer == self.app.id.to_string() || issuer == client_id(self.app.id) => Ok(()),
            Some(_) => Err(Refusal::new(404, "Integration not found")),
            None => Err(unauthorized("'Issuer' claim ('iss') must be an Integer")),
        }
    }

    fn verified_claims(&self, jwt: &str) -> Option<Map<String, Value>> {
        let (input, signature) = jwt.rsplit_once('.')?;
        let (header, payload) = input.split_once('.')?;
        let decoded = |part: &str| serde_json::from_slice::<Value>(&BASE64URL.decode(part).ok()?).ok();
        if decoded(header)?.get("alg")? != "RS256" {
            return None;
        }
        let algorithm = jsonwebtoken::Algorithm::RS256;
        let holds = jsonwebtoken::crypto::verify(signature, input.as_bytes(), &self.app.key, algorithm);
        match decoded(payload)? {
            Value::Object(claims) if holds.unwrap_or(false) => Some(claims),
            _ => None,
        }
    }

    pub(super) fn mint_installation_token(&mut self, request: &Request, now: Now) -> Result<Reply, Refusal> {
        self.require_app(request, now)?;
        let installation = self.installations.get(&request.id()?).ok_or_else(Refusal::not_found)?;
        if installation.suspended_at.is_some() {
            return Err(Refusal::suspended());
        }
        let id = installation.id;
        let permissions = narrowed(installation, &Input::parse(&request.body)?)?;
        let valid_from = match request.fault {
            Some(Fault::FreshTokenRefused(delay)) => after(now.world, delay),
            _ => now.world,
        };
        let expires_at = after(now.world, INSTALLATION_TOKEN);
        let token = format!("ghs_{}", self.random.hex(36));
        let body = json!({
            "token": token,
            "expires_at": rfc3339(expires_at),
            "permissions": permissions,
            "repository_selection": "all",
        });
        self.secrets.push(token.clone());
        let entry = InstallationToken { installation: id, permissions, valid_from, expires_at };
        self.installation_tokens.insert(token, entry);
        Ok(Reply::new(201, body))
    }

    /// The installation whose valid token came with the call.
    pub(super) fn installation_of_token(
        &self,
        request: &Request,
        now: DateTime<Utc>,
    ) -> Result<(&Installation, &InstallationToken), Refusal> {
        let token = credential(request).ok_or_else(|| Refusal::new(401, "Requires authentication"))?;
        let token = self.installation_tokens.get(token).ok_or_else(Refusal::bad_credentials)?;
        if now < token.valid_from || now >= token.expires_at {
            return Err(Refusal::bad_credentials());
        }
        let installation = self.installations.get(&token.installation).ok_or_else(Refusal::bad_credentials)?;
        if installation.suspended_at.is_some() {
            return Err(Refusal::suspended());
        }
        Ok((installation, token))
    }

    /// The key of the enterprise whose owner's token came with the call.
    pub(super) fn enterprise_of_token(&self, request: &Request) -> Option<&str> {
        let credential = credential(request)?;
        let owned = |target: &&Target| matches!(&target.kind, Kind::Enterprise { token, .. } if token == credential);
        let (key, _) = self.targets.iter().find(|(_, target)| owned(target))?;
        Some(key)
    }

    /// The key of the target in the request, if its runners may be read or changed with this token.
    pub(super) fn require_runners(
        &self,
        request: &Request,
        access: Access,
        now: DateTime<Utc>,
    ) -> Result<String, Refusal> {
        if let Some(enterprise) = self.enterprise_of_token(request) {
            let (key, _) = self.target(request)?;
            // An owner of an enterprise sees others as little as anybody.
            return if key == enterprise { Ok(key.to_owned()) } else { Err(Refusal::not_found()) };
        }
        let (installation, token) = self.installation_of_token(request, now)?;
        let (key, target) = self.target(request)?;
        let permission = match target.kind {
            Kind::Organization { .. } => "organization_self_hosted_runners",
            Kind::Repository { .. } => "administration",
            Kind::Enterprise { .. } => return Err(Refusal::missing_permission("")),
        };
        let needed = if access == Access::Write { "write" } else { "read" };
        let granted = |permissions: &BTreeMap<String, String>| {
            permissions.get(permission).is_some_and(|level| level == "write" || level == needed)
        };
        let own = owner_of(key) == installation.account;
        if !own || !granted(&token.permissions) || !granted(&installation.permissions) {
            return Err(Refusal::missing_permission(&format!("{permission}={needed}")));
        }
        if matches!(target.kind, Kind::Repository { runners_disabled: true }) && access == Access::Write {
            return Err(Refusal::new(403, "Repository level self-hosted runners are disabled on this repository."));
        }
        Ok(key.to_owned())
    }
}

/// The permissions asked for, which must be among the installation's; all of them when none are.
fn narrowed(installation: &Installation, input: &Input) -> Result<BTreeMap<String, String>, Refusal> {
    let Some(asked) = input.optional("permissions") else {
        return Ok(installation.permissions.clone());
    };
    let asked: BTreeMap<String, String> = serde_json::from_value(asked.clone())
        .map_err(|_| Refusal::invalid("/permissions: is not of type object of strings"))?;
    let granted = |(name, level): (&String, &String)| {
        installation.permissions.get(name).is_some_and(|has| has == level || (has == "write" && level == "read"))
    };
    if !asked.iter().all(granted) {
        return Err(Refusal::new(422, "The permissions requested are not granted to this installation."));
    }
    Ok(asked)
}

/// The credential of `Authorization: Bearer …` or `token …`; GitHub takes both.
pub(super) fn credential(request: &Request) -> Option<&str> {
    let (scheme, credential) = request.authorization.as_deref()?.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    known.then_some(credential.trim())
}

fn unauthorized(message: &str) -> Refusal {
    Refusal::new(401, message).documented_at(JWT_DOCUMENTATION)
}

fn undecodable() -> Refusal {
    unauthorized("A JSON web token could not be decoded")
}
