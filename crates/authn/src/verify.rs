//! From an [`UnverifiedToken`] to [`VerifiedClaims`]: the one way (RFC 7519 section 7.2, RFC 8725, RFC 9068 section 4).

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::jwk::KeySet;
use crate::refusal::Refusal;
use crate::signature::Backend;
use crate::text::TextMatch;
use crate::token::UnverifiedToken;

/// What a provider's tokens must be like.
#[derive(Debug)]
pub struct Expectations {
    /// `iss`, compared octet by octet (RFC 7519 section 4.1.1).
    pub issuer: Rc<str>,
    /// `aud` must name one of these; with none configured `aud` is not looked at, as in jwt_authn.
    pub audiences: Vec<String>,
    /// Which subjects the issuer may vouch for; all when absent.
    pub(crate) subjects: Option<TextMatch>,
    /// The algorithms that may sign.
    pub algorithms: Vec<Algorithm>,
    /// The accepted `typ` values; a token without `typ` counts as `JWT` (RFC 7519 section 5.1).
    pub types: Vec<String>,
    /// How far clocks may differ, in seconds.
    pub leeway: u64,
    /// The longest validity from now, in seconds.
    pub max_lifetime: Option<u64>,
}

/// The claims of a token whose signature, issuer, audience and times hold.
#[derive(Clone, Debug)]
pub struct VerifiedClaims {
    /// `iss`.
    pub issuer: Rc<str>,
    /// `sub`, never empty.
    pub subject: String,
    /// `exp`, in Unix seconds.
    pub expires_at: u64,
    /// All claims.
    pub claims: Map<String, Value>,
}

impl UnverifiedToken<'_> {
    /// Checks everything that does not need a key. Cheap, and done first, so that a stale or foreign token costs
    /// no signature check and asks nobody for keys.
    pub(crate) fn check_claims(&self, expected: &Expectations, now: u64) -> Result<(), Refusal> {
        if self.claimed_issuer() != Some(&*expected.issuer) {
            return Err(Refusal::Issuer);
        }
        if !expected.algorithms.contains(&self.algorithm) {
            return Err(Refusal::Algorithm);
        }
        check_type(self.kind.as_deref(), &expected.types)?;
        check_texts(&self.claims)?;
        check_times(&self.claims, expected, now)?;
        if self.claims.contains_key("cnf") {
            return Err(Refusal::Bound);
        }
        let subject = subject(&self.claims)?;
        let known = expected.subjects.as_ref().is_none_or(|subjects| subjects.holds(subject));
        if known { Ok(()) } else { Err(Refusal::Subject) }
    }

    /// The claims, if everything holds at `now` (Unix seconds), they are meant for one of `audiences` (or that list is
    /// empty), and one of these keys signed them.
    pub fn verify(
        self,
        keys: Option<&KeySet>,
        backend: &dyn Backend,
        expected: &Expectations,
        audiences: &[String],
        now: u64,
    ) -> Result<VerifiedClaims, Refusal> {
        self.check_claims(expected, now)?;
        if !names_audience(self::audiences(&self.claims), audiences) {
            return Err(Refusal::Audience);
        }
        let keys = keys.ok_or(Refusal::NoKeys)?;
        let mut candidates = keys.candidates(self.key_id.as_deref(), self.algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        if !candidates.any(|key| backend.holds(key, self.signed().as_bytes(), &self.signature)) {
            return Err(Refusal::Signature);
        }
        Ok(VerifiedClaims {
            issuer: Rc::clone(&expected.issuer),
            subject: subject(&self.claims)?.to_owned(),
            expires_at: seconds(&self.claims, "exp")?.ok_or(Refusal::Time)?,
            claims: self.claims,
        })
    }
}

/// RFC 8725 section 3.11: explicit typing. Media types compare without case, and the prefix `application/` is
/// optional (RFC 7515 section 4.1.9).
fn check_type(kind: Option<&str>, accepted: &[String]) -> Result<(), Refusal> {
    let kind = kind.unwrap_or("JWT").to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if accepted.iter().any(|one| one.eq_ignore_ascii_case(kind)) { Ok(()) } else { Err(Refusal::Type) }
}

/// Whether one of those expected is named (RFC 7519 section 4.1.3); nothing is expected when the list is empty.
pub(crate) fn names_audience<'c>(mut named: impl Iterator<Item = &'c str>, expected: &[String]) -> bool {
    expected.is_empty() || named.any(|audience| expected.iter().any(|one| one == audience))
}

/// `aud`: one string or an array of strings, which [`UnverifiedToken::verify`] has made sure of.
pub(crate) fn audiences(claims: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claims.get("aud") {
        Some(Value::Array(audiences)) => (None, audiences.as_slice()),
        audience => (audience, &[][..]),
    };
    one.into_iter().chain(many).filter_map(Value::as_str)
}

/// The types of claims that need not be there and whose values nobody may ask for (RFC 7519 sections 4.1.3, 4.1.7).
fn check_texts(claims: &Map<String, Value>) -> Result<(), Refusal> {
    let texts = |value: &Value| match value {
        Value::Array(members) => members.iter().all(Value::is_string),
        other => other.is_string(),
    };
    if !claims.get("aud").is_none_or(texts) {
        return Err(Refusal::Audience);
    }
    if claims.get("jti").is_none_or(Value::is_string) { Ok(()) } else { Err(Refusal::Malformed) }
}

/// RFC 7519 sections 4.1.4 to 4.1.6, with the leeway on both sides; `exp` is required (RFC 9068 section 2.2).
fn check_times(claims: &Map<String, Value>, expected: &Expectations, now: u64) -> Result<(), Refusal> {
    let expires_at = seconds(claims, "exp")?.ok_or(Refusal::Time)?;
    if is_expired(expires_at, expected.leeway, now) {
        return Err(Refusal::Expired);
    }
    if seconds(claims, "nbf")?.is_some_and(|not_before| not_before > now.saturating_add(expected.leeway)) {
        return Err(Refusal::NotYetValid);
    }
    seconds(claims, "iat")?;
    // Without the leeway, as in jwt_authn.
    let longest = expected.max_lifetime.map(|lifetime| now.saturating_add(lifetime));
    if longest.is_some_and(|longest| expires_at > longest) {
        return Err(Refusal::LivesTooLong);
    }
    Ok(())
}

/// RFC 7519 section 4.1.4.
pub(crate) fn is_expired(expires_at: u64, leeway: u64, now: u64) -> bool {
    now > expires_at.saturating_add(leeway)
}

/// `sub` names the principal (RFC 9068 section 2.2 requires it), so an empty one can't stand.
fn subject(claims: &Map<String, Value>) -> Result<&str, Refusal> {
    claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty()).ok_or(Refusal::Subject)
}

/// A `NumericDate` (RFC 7519 section 2): seconds since the epoch, a fraction being allowed and cut off.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    // Through a double, as jwt_authn reads it, so that what is too large for one is for the other too.
    let time = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.map(|time| Some(time.as_secs())).ok_or(Refusal::Time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwk::DEFAULT_LIMITS;
    use crate::signature::{Host, PureRust};
    use crate::testing::{ISSUER, Issuer, NOW, boring, claims, expectations, issuers};
    use serde_json::json;

    fn verify(issuer: &Issuer, raw: &str) -> Result<VerifiedClaims, Refusal> {
        verify_at(issuer, raw, NOW)
    }

    /// By both backends, which must agree.
    fn verify_at(issuer: &Issuer, raw: &str, now: u64) -> Result<VerifiedClaims, Refusal> {
        verify_with(issuer, raw, &expectations(), now)
    }

    fn verify_with(issuer: &Issuer, raw: &str, expected: &Expectations, now: u64) -> Result<VerifiedClaims, Refusal> {
        let by = |backend: &dyn Backend| {
            let keys = issuer.key_set();
            UnverifiedToken::parse(raw)?.verify(Some(&keys), backend, expected, &expected.audiences, now)
        };
        let (pure, host) = (by(&PureRust), by(&Host::probe(boring)));
        assert_eq!(pure.as_ref().err(), host.as_ref().err(), "{raw}");
        pure
    }

    fn with(change: impl Fn(&mut Value)) -> Value {
        let mut all = claims();
        change(&mut all);
        all
    }

    /// The refusal of a token that is signed as it should be but has other claims.
    fn refused_claims(change: impl Fn(&mut Value)) -> Refusal {
        let issuer = Issuer::new(Algorithm::EdDSA, "k");
        verify(&issuer, &issuer.sign(&with(change))).unwrap_err()
    }

    #[test]
    fn a_good_token_of_every_algorithm_is_verified() {
        for issuer in issuers() {
            let verified = verify(&issuer, &issuer.sign(&claims())).unwrap();
            assert_eq!((&*verified.issuer, verified.subject.as_str()), (ISSUER, "machine-7"));
        }
    }

    #[test]
    fn an_altered_signature_or_claim_is_refused_for_every_algorithm() {
        for issuer in issuers() {
            let raw = issuer.sign(&claims());
            let other = issuer.sign(&with(|all| all["sub"] = json!("machine-8")));
            let (head, signature) = raw.rsplit_once('.').unwrap();
            let (other_head, other_signature) = other.rsplit_once('.').unwrap();
            assert_eq!(verify(&issuer, &format!("{head}.{other_signature}")).unwrap_err(), Refusal::Signature);
            assert_eq!(verify(&issuer, &format!("{other_head}.{signature}")).unwrap_err(), Refusal::Signature);
        }
    }

    #[test]
    fn another_key_with_the_same_id_is_refused() {
        for issuer in issuers() {
            let impostor = issuer.same_id_other_key();
            assert_eq!(verify(&issuer, &impostor.sign(&claims())).unwrap_err(), Refusal::Signature);
        }
    }

    #[test]
    fn an_unknown_key_is_told_apart_so_that_keys_can_be_asked_for() {
        let (issuer, stranger) = (Issuer::new(Algorithm::ES256, "k"), Issuer::new(Algorithm::ES256, "new"));
        assert_eq!(verify(&issuer, &stranger.sign(&claims())).unwrap_err(), Refusal::UnknownKey);
    }

    #[test]
    fn an_algorithm_that_is_not_allowed_is_refused_before_any_key_is_tried() {
        let issuer = Issuer::new(Algorithm::ES256, "k");
        let raw = issuer.sign(&claims());
        let expected = Expectations { algorithms: vec![Algorithm::RS256], ..expectations() };
        assert_eq!(verify_with(&issuer, &raw, &expected, NOW).unwrap_err(), Refusal::Algorithm);
    }

    /// Algorithm confusion: an RSA key must not verify what claims to be an EC token, and the other way round.
    #[test]
    fn a_key_of_another_kind_does_not_fit() {
        let (rsa, ec) = (Issuer::new(Algorithm::RS256, "k"), Issuer::new(Algorithm::ES256, "k"));
        assert_eq!(verify(&rsa, &ec.sign(&claims())).unwrap_err(), Refusal::UnknownKey);
        assert_eq!(verify(&ec, &rsa.sign(&claims())).unwrap_err(), Refusal::UnknownKey);
    }

    /// RFC 7519 section 4.1.1, RFC 8725 section 3.8.
    #[test]
    fn issuer_is_compared_exactly() {
        for other in [
            json!("https://other.example"),
            json!(format!("{ISSUER}/")),
            json!(ISSUER.to_uppercase()),
            json!([ISSUER]),
            json!(null),
        ] {
            assert_eq!(refused_claims(|all| all["iss"] = other.clone()), Refusal::Issuer, "{other}");
        }
    }

    /// RFC 7519 section 4.1.3; RFC 8725 section 3.9.
    #[test]
    fn audience_must_name_one_of_ours() {
        for other in
            [json!("other"), json!([]), json!(["other"]), json!(""), json!({"a": "runners"}), json!(["runners", 7])]
        {
            assert_eq!(refused_claims(|all| all["aud"] = other.clone()), Refusal::Audience, "{other}");
        }
        assert_eq!(refused_claims(|all| drop(all.as_object_mut().unwrap().remove("aud"))), Refusal::Audience);
        let issuer = Issuer::new(Algorithm::EdDSA, "k");
        assert!(verify(&issuer, &issuer.sign(&with(|all| all["aud"] = json!(["other", "runners"])))).is_ok());
    }

    /// RFC 7519 sections 4.1.3 and 4.1.7, whether anybody asks for the claims or not.
    #[test]
    fn claims_that_nobody_asks_for_have_the_right_type_too() {
        for other in [json!(7), json!(null), json!({})] {
            assert_eq!(refused_claims(|all| all["jti"] = other.clone()), Refusal::Malformed, "{other}");
            let claims = json!({"aud": other});
            assert_eq!(check_texts(claims.as_object().unwrap()), Err(Refusal::Audience), "{other}");
        }
    }

    /// RFC 7519 section 4.1.4, RFC 9068 section 2.2.
    #[test]
    fn expiry_is_required_and_holds_with_the_leeway() {
        let issuer = Issuer::new(Algorithm::EdDSA, "k");
        let raw = issuer.sign(&claims());
        let (expires_at, leeway) = (NOW + 300, expectations().leeway);
        assert!(verify_at(&issuer, &raw, expires_at + leeway).is_ok());
        assert_eq!(verify_at(&issuer, &raw, expires_at + leeway + 1).unwrap_err(), Refusal::Expired);
        assert_eq!(refused_claims(|all| drop(all.as_object_mut().unwrap().remove("exp"))), Refusal::Time);
        for other in [json!("1800000300"), json!(-1), json!(null), json!(1e300), json!(u64::MAX), json!(true)] {
            assert_eq!(refused_claims(|all| all["exp"] = other.clone()), Refusal::Time, "{other}");
        }
    }

    /// RFC 7519 section 4.1.5.
    #[test]
    fn not_before_holds_with_the_leeway() {
        let issuer = Issuer::new(Algorithm::EdDSA, "k");
        let leeway = expectations().leeway;
        let at = |offset: u64| issuer.sign(&with(|all| all["nbf"] = json!(NOW + offset)));
        assert!(verify(&issuer, &at(leeway)).is_ok());
        assert_eq!(verify(&issuer, &at(leeway + 1)).unwrap_err(), Refusal::NotYetValid);
        assert_eq!(refused_claims(|all| all["nbf"] = json!("soon")), Refusal::Time);
    }

    /// RFC 7519 section 2: a NumericDate may have a fraction.
    #[test]
    fn a_fraction_of_a_second_is_understood() {
        let issuer = Issuer::new(Algorithm::EdDSA, "k");
        let verified = verify(&issuer, &issuer.sign(&with(|all| all["exp"] = json!(1_800_000_300.75)))).unwrap();
        assert_eq!(verified.expires_at, 1_800_000_300);
    }

    #[test]
    fn a_longer_life_than_allowed_is_refused() {
        let issuer = Issuer::new(Algorithm::EdDSA, "k");
        let raw = issuer.sign(&claims());
        let verify = |max_lifetime| {
            let expected = Expectations { max_lifetime: Some(max_lifetime), leeway: 0, ..expectations() };
            verify_with(&issuer, &raw, &expected, NOW).map(|_| ())
        };
        assert_eq!(verify(300), Ok(()));
        assert_eq!(verify(299), Err(Refusal::LivesTooLong));
    }

    /// RFC 9068 section 2.2: `sub` is required; ours is half of the principal.
    #[test]
    fn subject_is_required() {
        for other in [json!(""), json!(7), json!(null)] {
            assert_eq!(refused_claims(|all| all["sub"] = other.clone()), Refusal::Subject, "{other}");
        }
    }

    /// RFC 7800: a token bound to a key is worth nothing without proof of the key, which a bearer does not give.
    #[test]
    fn a_bound_token_is_refused() {
        assert_eq!(refused_claims(|all| all["cnf"] = json!({"jkt": "x"})), Refusal::Bound);
    }

    /// RFC 8725 section 3.11, RFC 9068 section 4, RFC 7515 section 4.1.9.
    #[test]
    fn types_are_explicit() {
        let accepted = expectations().types;
        for kind in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt"), Some("AT+JWT")] {
            assert_eq!(check_type(kind, &accepted), Ok(()), "{kind:?}");
        }
        for kind in ["id+jwt", "identity-assertion+jwt", "JOSE", "", "application/", "dpop+jwt"] {
            assert_eq!(check_type(Some(kind), &accepted), Err(Refusal::Type), "{kind}");
        }
    }

    #[test]
    fn a_set_without_the_key_does_not_help() {
        let issuer = Issuer::new(Algorithm::RS256, "k");
        let other = Issuer::new(Algorithm::EdDSA, "other");
        let keys = json!({"keys": [other.jwk]}).to_string();
        let set = KeySet::parse(keys.as_bytes(), DEFAULT_LIMITS).unwrap();
        let raw = issuer.sign(&claims());
        let token = UnverifiedToken::parse(&raw).unwrap();
        let refusal = token.verify(Some(&set), &PureRust, &expectations(), &expectations().audiences, NOW).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownKey);
    }
}
