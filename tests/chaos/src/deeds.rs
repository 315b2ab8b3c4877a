//! What one client does.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client as Http, Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::choices::Random;

use crate::answers::{Outcome, send};
use crate::world::Outside;

/// Between two deeds, and before a repeat: at least, and so much more at most.
const PAUSE: (u64, usize) = (60, 240);
/// So many deeds with one token.
const TOKEN: u32 = 10;
/// A provision with a key is tried so often.
const TRIES: usize = 3;

/// A client, with what it knows of its runners.
pub(crate) struct Client {
    name: String,
    http: Http,
    random: Random,
    outside: Arc<Outside>,
    token: String,
    /// Deeds that the token is still good for.
    left: u32,
    /// Names given so far.
    named: u32,
    runners: Vec<String>,
    /// A limit was reached: something has to go first.
    full: bool,
}

impl Client {
    pub(crate) fn new(name: &str, http: Http, random: Random, outside: Arc<Outside>) -> Self {
        Self {
            name: name.to_owned(),
            http,
            random,
            outside,
            token: String::new(),
            left: 0,
            named: 0,
            runners: Vec::new(),
            full: false,
        }
    }

    /// One deed after the other, for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let outside = Arc::clone(&self.outside);
            let under_way = outside.gate.read().await;
            self.act().await;
            drop(under_way);
            self.pause().await;
        }
    }

    async fn pause(&mut self) {
        let more = u64::try_from(self.random.below(PAUSE.1)).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(PAUSE.0 + more)).await;
    }

    async fn act(&mut self) {
        if self.left == 0 {
            match self.outside.token(&self.name) {
                Ok(token) => (self.token, self.left) = (token, TOKEN),
                Err(error) => return self.outside.book.broken(format!("no token: {error:#}")),
            }
        }
        self.left -= 1;
        match self.random.below(100) {
            _ if self.full => self.make_room().await,
            0..40 => self.provision().await,
            40..65 => drop(self.list().await),
            65..75 => self.read().await,
            _ => self.delete_one().await,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.outside.url(&format!("/api/v1/runners{path}"))).bearer_auth(&self.token)
    }

    async fn ask(&self, request: RequestBuilder) -> Outcome {
        let outcome = send(request).await;
        self.outside.book.note(&outcome);
        outcome
    }

    async fn provision(&mut self) {
        self.named += 1;
        let name = format!("{}-{}", self.name, self.named);
        let (jit, with_key) = (self.random.one_in(2), self.random.one_in(2));
        let mode = if jit { "jit" } else { "registration-token" };
        let body = json!({"runner_name": name, "labels": ["gpu"], "mode": mode});
        for _ in 0..TRIES {
            let mut request = self.request(Method::POST, "/provision").json(&body);
            if with_key {
                request = request.header("idempotency-key", &name);
            }
            let outcome = self.ask(request).await;
            match &outcome {
                Ok(answer) if answer.status.as_u16() == 201 => return self.has(&name, jit, &answer.body).await,
                Ok(answer) if answer.problem() == "limit-reached" => return self.full = self.name != "hourly",
                Ok(answer) if answer.status.is_client_error() && answer.problem() != "provision-in-progress" => return,
                _ if !with_key => return,
                _ => self.pause().await,
            }
        }
    }

    /// Starts a machine with some of the runners, and has some of those do a job and vanish.
    async fn has(&mut self, name: &str, jit: bool, body: &Value) {
        self.outside.book.issued(body, jit);
        self.runners.push(name.to_owned());
        let command = body.get("configuration_command").and_then(Value::as_str).unwrap_or_default();
        if self.random.one_in(2)
            && let Err(error) = self.start_machine(name, command).await
        {
            self.outside.book.broken(format!("the secret of {name} is of no use: {error:#}"));
        }
    }

    async fn start_machine(&mut self, name: &str, command: &str) -> anyhow::Result<()> {
        let mut machine = self.outside.github.machine().run_command(command).await?;
        machine.go_online().await?;
        self.outside.book.on_line(name);
        if self.random.one_in(2) {
            machine.take_job().await?;
            self.outside.book.may_go(name);
            machine.finish_job().await?;
            self.runners.retain(|runner| runner != name);
        }
        Ok(())
    }

    /// Its runners as the service has them; others' must not be among them.
    async fn list(&mut self) -> Option<Vec<String>> {
        let outcome = self.ask(self.request(Method::GET, "?limit=100")).await;
        let answer = outcome.ok().filter(|answer| answer.status.is_success())?;
        let listed = answer.body.get("runners").and_then(Value::as_array).cloned().unwrap_or_default();
        let names = listed.iter().filter_map(|runner| runner.get("runner_name").and_then(Value::as_str));
        let names: Vec<String> = names.map(str::to_owned).collect();
        let prefix = format!("{}-", self.name);
        for other in names.iter().filter(|name| !name.starts_with(&prefix)) {
            self.outside.book.broken(format!("{} was shown {other}", self.name));
        }
        Some(names)
    }

    async fn read(&mut self) {
        if let Some(name) = self.random.pick(&self.runners).cloned() {
            let _ = self.ask(self.request(Method::GET, &format!("/{name}"))).await;
        }
    }

    async fn delete_one(&mut self) {
        if let Some(name) = self.random.pick(&self.runners).cloned() {
            self.delete(&name).await;
        }
    }

    /// Also those of which it does not know, since the answer got lost.
    async fn make_room(&mut self) {
        let Some(names) = self.list().await else { return };
        for name in names.iter().take(2) {
            self.delete(name).await;
        }
        self.full = false;
    }

    async fn delete(&mut self, name: &str) {
        self.outside.book.may_go(name);
        let drain = if self.random.one_in(2) { "?drain=true" } else { "" };
        let outcome = self.ask(self.request(Method::DELETE, &format!("/{name}{drain}"))).await;
        if outcome.is_ok_and(|answer| answer.status.is_success() || answer.status.as_u16() == 404) {
            self.runners.retain(|runner| runner != name);
        }
    }
}
