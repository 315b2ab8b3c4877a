//! A plain REST client of the fake: it can break every rule that octocrab keeps.

use anyhow::Context as _;
use http::{HeaderMap, Method};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use testkit::github::{ConfigCommand, FakeGithub, GithubConfig, ORGANIZATION};

pub(crate) const RUNNERS: &str = "/orgs/acme-partners/actions/runners";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn message(&self) -> &str {
        self.body.get("message").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn token(&self) -> anyhow::Result<String> {
        self.body.get("token").and_then(Value::as_str).map(str::to_owned).context("no token in the answer")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub(crate) struct Rest {
    pub(crate) github: FakeGithub,
    http: reqwest::Client,
    pub(crate) token: String,
}

impl Rest {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::of(FakeGithub::start(GithubConfig::default()).await?).await
    }

    /// A client with an installation token.
    pub(crate) async fn of(github: FakeGithub) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().user_agent("testkit").build()?;
        let rest = Self { github, http, token: String::new() };
        let token = rest.access_token().await?.token()?;
        Ok(Self { token, ..rest })
    }

    /// A JWT of the App with these claims, signed with its key.
    pub(crate) fn jwt(&self, claims: &Value) -> anyhow::Result<String> {
        let key = EncodingKey::from_rsa_pem(self.github.app_private_key_pem().as_bytes())?;
        Ok(jsonwebtoken::encode(&Header::new(jsonwebtoken::Algorithm::RS256), claims, &key)?)
    }

    /// An honest JWT of the App.
    pub(crate) fn app_jwt(&self) -> anyhow::Result<String> {
        let now = testkit::clock::now().timestamp();
        self.jwt(&json!({"iss": self.github.app_id().to_string(), "iat": now - 60, "exp": now + 540}))
    }

    pub(crate) async fn access_token(&self) -> anyhow::Result<Answer> {
        let path = format!("/app/installations/{}/access_tokens", self.github.installation_id());
        self.call_as(&self.app_jwt()?, Method::POST, &path, None).await
    }

    pub(crate) async fn call_as(
        &self,
        credential: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let request = self.http.request(method, format!("{}{path}", self.github.base_url())).bearer_auth(credential);
        answer(if let Some(body) = body { request.json(&body) } else { request }).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        self.call_as(&self.token, method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, id: u64) -> anyhow::Result<Answer> {
        self.call(Method::DELETE, &format!("{RUNNERS}/{id}"), None).await
    }

    pub(crate) async fn jit(&self, body: Value) -> anyhow::Result<Answer> {
        self.call(Method::POST, &format!("{RUNNERS}/generate-jitconfig"), Some(body)).await
    }

    pub(crate) async fn registration_token(&self) -> anyhow::Result<String> {
        let answer = self.call(Method::POST, &format!("{RUNNERS}/registration-token"), None).await?;
        answer.token()
    }

    /// What `config.sh` is told to register a machine in the organisation.
    pub(crate) async fn config(&self, name: &str) -> anyhow::Result<ConfigCommand> {
        Ok(ConfigCommand {
            url: self.github.html_url(ORGANIZATION),
            token: self.registration_token().await?,
            name: name.to_owned(),
            ..ConfigCommand::default()
        })
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}
