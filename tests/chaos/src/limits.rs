//! Whether limits hold at every moment: looked at while everything goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::world::{ACTIVE, Outside, PENDING, PER_HOUR};

const AGAIN: Duration = Duration::from_millis(250);

/// The most that was seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Most {
    pub(crate) live: i64,
    pub(crate) pending: i64,
    pub(crate) per_hour: i64,
}

/// Looks until it is dropped.
pub(crate) struct Watch {
    most: Arc<Mutex<Most>>,
    _task: JoinSet<()>,
}

#[derive(sqlx::FromRow)]
struct Usage {
    owner_subject: String,
    live: i64,
    pending: i64,
}

impl Watch {
    pub(crate) fn start(pool: PgPool, outside: Arc<Outside>) -> Self {
        let (most, mut task) = (Arc::new(Mutex::new(Most::default())), JoinSet::new());
        let seen = Arc::clone(&most);
        task.spawn(async move {
            loop {
                // While the database does not answer, nobody is given anything either.
                if let Ok(now) = look(&pool, &outside).await {
                    let mut most = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    most.live = most.live.max(now.live);
                    most.pending = most.pending.max(now.pending);
                    most.per_hour = most.per_hour.max(now.per_hour);
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        Self { most, _task: task }
    }

    /// The most that one client had at a time, and that `hourly` ever got.
    pub(crate) fn most(&self) -> Most {
        *self.most.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(pool: &PgPool, outside: &Outside) -> sqlx::Result<Most> {
    let query = "select owner_subject, count(*) as live, count(*) filter (where state = 'pending') as pending
        from runners where state <> 'deleted' and owner_subject like 'client-%' group by owner_subject";
    let mut most = Most::default();
    for Usage { owner_subject, live, pending } in sqlx::query_as::<_, Usage>(query).fetch_all(pool).await? {
        if live > ACTIVE || pending > PENDING {
            outside.book.broken(format!("{owner_subject} has {live} runners, {pending} of them pending"));
        }
        (most.live, most.pending) = (most.live.max(live), most.pending.max(pending));
    }
    let query =
        "select count(*) from runners where owner_subject = 'hourly' and created_at > now() - interval '1 hour'";
    most.per_hour = sqlx::query_scalar(query).fetch_one(pool).await?;
    if most.per_hour > PER_HOUR {
        outside.book.broken(format!("hourly got {} runners within an hour", most.per_hour));
    }
    Ok(most)
}
