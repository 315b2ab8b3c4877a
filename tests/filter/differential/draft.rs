//! A token before it is signed: members as texts, in order, so that any of them can be odd.

use testkit::issuer::Algorithm;

use super::world::{Issuers, Provider};

/// A JOSE header or a set of claims.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    members: Vec<(String, String)>,
    before: &'static str,
    after: &'static str,
}

/// What a token will say.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) provider: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(crate) header: Object,
    pub(crate) payload: Object,
}

impl Draft {
    /// A token in order.
    pub(crate) fn new(provider: &Provider, algorithm: Algorithm, key_id: &str, now: i64) -> Self {
        let header = [("alg", algorithm.name().to_owned()), ("typ", "at+jwt".to_owned()), ("kid", key_id.to_owned())];
        let texts = [("iss", provider.issuer), ("aud", provider.audience), ("sub", provider.subject)];
        let mut payload = Object::of(&texts.map(|(name, text)| (name, text.to_owned())));
        payload.set("exp", &now.saturating_add(600).to_string());
        payload.set("iat", &now.to_string());
        payload.set("jti", "\"0b7c2a\"");
        Self { provider: provider.name, algorithm, header: Object::of(&header), payload }
    }

    /// Signs it as it stands, whatever it says.
    pub(crate) fn sign(&self, issuers: &Issuers) -> anyhow::Result<String> {
        let (header, payload) = (self.header.text(), self.payload.text());
        issuers.of(self.provider).sign_raw(self.algorithm, &header, &payload)
    }
}

impl Object {
    fn of(texts: &[(&str, String)]) -> Self {
        let members = texts.iter().map(|(name, text)| ((*name).to_owned(), format!("\"{text}\"")));
        Self { members: members.collect(), before: "", after: "" }
    }

    /// Gives a member this JSON text as its value.
    pub(crate) fn set(&mut self, name: &str, json: &str) {
        match self.members.iter_mut().find(|(member, _)| member == name) {
            Some((_, value)) => json.clone_into(value),
            None => self.add(name, json),
        }
    }

    /// Adds a member, even if there is one of that name.
    pub(crate) fn add(&mut self, name: &str, json: &str) {
        self.members.push((name.to_owned(), json.to_owned()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.members.retain(|(member, _)| member != name);
    }

    /// Puts texts around the object.
    pub(crate) fn surround(&mut self, before: &'static str, after: &'static str) {
        (self.before, self.after) = (before, after);
    }

    fn text(&self) -> String {
        let members: Vec<String> = self.members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{}{{{}}}{}", self.before, members.join(","), self.after)
    }
}
