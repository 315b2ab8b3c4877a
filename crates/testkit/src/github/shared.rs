//! The one world behind all requests, with its clocks, its faults and its log of calls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use http::Method;

use super::config::Limits;
use super::faults::{Endpoint, Fault, Faults};
use super::reply::Refusal;
use super::webhook::{Delivery, Webhook};
use super::world::{Consumer, Event, Now, RunnerView, World};
use crate::clock::Clock;

/// A call that arrived. It never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it arrived, by the world's time.
    pub at: DateTime<Utc>,
    /// Its method.
    pub method: Method,
    /// Its path without the query.
    pub path: String,
    /// Its query.
    pub query: String,
    /// What it asked for.
    pub endpoint: Endpoint,
    /// The trace that it belongs to, as the caller wrote it (W3C Trace Context).
    pub traceparent: Option<String>,
    /// With whose credential it came; `None` for what is not of the REST API.
    pub caller: Option<Consumer>,
    /// The answer's status; `None` while there is none, and for ever if the client went away before.
    pub status: Option<u16>,
}

pub(crate) struct Shared {
    /// Base of every URL handed out.
    pub(crate) url: String,
    /// Where machines inside this process find the server.
    pub(crate) local_url: String,
    pub(crate) control: bool,
    /// The world's time.
    pub(crate) clock: Clock,
    /// The servers' clock, which may be wrong.
    pub(crate) servers: Clock,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    calls: Mutex<Vec<Call>>,
    limits: Mutex<Limits>,
    inside: AtomicUsize,
    webhook: Mutex<Option<Webhook>>,
    deliveries: Mutex<Vec<Delivery>>,
    broken: Mutex<Option<String>>,
}

/// A request that is being worked on; counts until it is dropped.
pub(crate) struct Seat<'a>(&'a AtomicUsize);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn locked<T, R>(mutex: &Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R {
    work(&mut mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Shared {
    pub(crate) fn new(url: String, local_url: String, control: bool, limits: Limits, world: World) -> Self {
        Self {
            url,
            local_url,
            control,
            clock: Clock::default(),
            servers: Clock::default(),
            world: Mutex::new(world),
            faults: Mutex::default(),
            calls: Mutex::default(),
            limits: Mutex::new(limits),
            inside: AtomicUsize::new(0),
            webhook: Mutex::default(),
            deliveries: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { world: self.clock.now(), servers: self.servers.now() }
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut World, Now) -> R) -> R {
        locked(&self.world, |world| work(world, self.now()))
    }

    pub(crate) fn set_webhook(&self, webhook: Option<Webhook>) {
        self.with(|world, _| world.set_hook(webhook.as_ref().map(|webhook| webhook.url.clone())));
        locked(&self.webhook, |now| *now = webhook);
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        locked(&self.deliveries, |deliveries| deliveries.clone())
    }

    /// What a machine does, and the delivery that GitHub sends for it. The runner after it, unless it is gone.
    pub(crate) fn happen(&self, id: u64, event: Event) -> Result<Option<RunnerView>, Refusal> {
        let (before, after) = self.with(|world, now| {
            let before = world.show(id).map(|runner| (runner.target.clone(), runner.name.clone()));
            let after = world.happen(id, event, now.world)?.map(|runner| RunnerView::of(runner, now.world));
            Ok((before, after))
        })?;
        let action = match event {
            Event::JobStart => "in_progress",
            Event::JobFinish => "completed",
            Event::Online | Event::Offline => return Ok(after),
        };
        if let (Some((target, name)), Some(webhook)) = (before, locked(&self.webhook, |webhook| webhook.clone())) {
            let organization = target.split('/').next().unwrap_or(&target);
            let delivery = Delivery::job(action, organization, Some((id, &name)));
            self.judge(delivery.check());
            locked(&self.deliveries, |deliveries| deliveries.push(delivery.clone()));
            // GitHub does not wait either, and does not repeat what failed.
            tokio::spawn(async move { delivery.send(&webhook).await });
        }
        Ok(after)
    }

    pub(crate) fn inject(&self, endpoint: Endpoint, fault: Fault, times: usize) {
        locked(&self.faults, |faults| faults.add(endpoint, None, fault, times));
    }

    pub(crate) fn inject_page(&self, page: u64, fault: Fault, times: usize) {
        locked(&self.faults, |faults| faults.add(Endpoint::ListRunners, Some(page), fault, times));
    }

    pub(crate) fn clear_faults(&self) {
        locked(&self.faults, Faults::clear);
    }

    pub(crate) fn take_fault(&self, endpoint: Endpoint, page: Option<u64>) -> Option<Fault> {
        locked(&self.faults, |faults| faults.take(endpoint, page))
    }

    /// Notes whether the fake kept its word; the first time that it did not counts.
    pub(crate) fn judge(&self, word: Result<(), String>) {
        if let Err(wrong) = word {
            tracing::error!("the fake GitHub did not keep its word: {wrong}");
            locked(&self.broken, |broken| {
                broken.get_or_insert(wrong);
            });
        }
    }

    /// How the fake did not keep its word.
    pub(crate) fn broken(&self) -> Option<String> {
        locked(&self.broken, |broken| broken.clone())
    }

    /// Notes a call; the number says which, to note its answer later.
    pub(crate) fn log(&self, call: Call) -> usize {
        locked(&self.calls, |calls| {
            calls.push(call);
            calls.len().saturating_sub(1)
        })
    }

    pub(crate) fn log_status(&self, call: usize, status: u16) {
        locked(&self.calls, |calls| {
            if let Some(call) = calls.get_mut(call) {
                call.status = Some(status);
            }
        });
    }

    pub(crate) fn log_caller(&self, call: usize, caller: Consumer) {
        locked(&self.calls, |calls| {
            if let Some(call) = calls.get_mut(call) {
                call.caller = Some(caller);
            }
        });
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        locked(&self.calls, |calls| calls.clone())
    }

    pub(crate) fn set_limits(&self, limits: Limits) {
        locked(&self.limits, |now| *now = limits);
        self.with(|world, _| world.set_limits(limits));
    }

    /// A seat for a request, unless too many are taken.
    pub(crate) fn enter(&self) -> (Seat<'_>, bool) {
        let taken = self.inside.fetch_add(1, Ordering::SeqCst);
        let most = locked(&self.limits, |limits| limits.concurrent);
        (Seat(&self.inside), taken < most)
    }
}
