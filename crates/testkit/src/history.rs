//! Records of a service that has been at work for long, written straight into its tables.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::github::ORGANIZATION;

/// The issuer of all owners.
pub const ISSUER: &str = "https://idp.example.com";

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// Runners, most of them gone.
    pub runners: u32,
    /// The newest of them, which are there still: in turn pending, active and off line.
    pub live: u32,
    /// Owners, `owner-0` and so on, of [`ISSUER`]; the runners belong to them in turn.
    pub owners: u32,
    /// Entries of the audit log with their seals, a tenth as many checkpoints, and the newest ones that have no seal.
    pub entries: u32,
    /// See [`entries`](Self::entries). The seals are no true ones, so the chain does not verify.
    pub unsealed: u32,
    /// Each: keys of repeats, deliveries of webhooks, runners of somebody else on GitHub, counts of
    /// runners, two a minute.
    pub others: u32,
}

/// Runner number `n` was asked for `n` minutes after the first, the last a minute ago. Ids are in the order of time.
const RUNNERS: &str = "
    insert into runners (id, target, name, owner_issuer, owner_subject, owner_name, mode, labels, runner_group_id,
        ephemeral, disable_update, state, deleted_reason, deleted_at, issuance, requested_at, secret_sha256,
        secret_expires_at, github_runner_id, offline_since, created_at, updated_at, provisioner_issuer,
        provisioner_subject)
    select (lpad(to_hex((extract(epoch from made) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n), 19, '0'))::uuid,
        'org:$target', 'old-' || n, '$issuer', 'owner-' || n % $owners, 'owner-' || n % $owners || '@example.com', 'jit',
        array['self-hosted', 'linux'], 1, true, false, state, case state when 'deleted' then 'gone-from-github' end,
        case state when 'deleted' then made + interval '30 seconds' end, 'issued', made, repeat('ab', 32),
        made + interval '1 hour', 1000000000 + n, case state when 'offline' then made end, made, made, '$issuer',
        'owner-' || n % $owners
    from generate_series(1, $runners) n
    cross join lateral (select
        now() - make_interval(mins => 1 + $runners - n) as made,
        case when n <= $runners - $live then 'deleted' else (array['pending', 'active', 'offline'])[n % 3 + 1] end as state
    ) as runner";

/// Transaction `n` wrote entry `n`, on the days before.
const ENTRIES: &str = "
    insert into audit_log (occurred_at, transaction_id, event, outcome, actor, principal_issuer, principal_subject,
        display_name, client_ip, user_agent, request_id, token_sha256, runner_id, runner_name, target, reasons, details)
    select now() - make_interval(secs => $entries - n), n, 'provision.issued', 'success', 'principal', '$issuer',
        'owner-' || n % $owners, 'somebody@example.com', '203.0.113.7', 'curl/8.0', gen_random_uuid()::text,
        repeat('ab', 32), gen_random_uuid(), 'old-' || n, 'org:$target', array['rule acme allows it'],
        '{\"mode\": \"jit\", \"labels\": [\"linux\", \"gpu\"]}'
    from generate_series(1, $entries) n";

const SEALS: &str = "
    insert into audit_log_seals (position, entry_id, occurred_at, seal)
    select begun.positions + row_number() over (order by transaction_id, id), id, occurred_at, sha256(id::text::bytea)
    from audit_log, (select coalesce(max(position), 0) as positions from audit_log_seals) as begun
    where transaction_id <= $entries - $unsealed
        and not exists (select from audit_log_seals t where t.entry_id = audit_log.id)";

const CHECKPOINTS: &str = "
    insert into audit_log_checkpoints (position, seal, made_at)
    select position, seal, occurred_at from audit_log_seals where position % 10 = 0
    on conflict do nothing";

const PROGRESS: &str = "
    update audit_log_progress set sealed_below = $entries - $unsealed + 1,
        system_identifier = (select system_identifier from pg_control_system())";

const KEYS: &str = "
    insert into idempotency_keys (key_sha256, body_sha256, runner_id, created_at)
    select encode(sha256(id::text::bytea), 'hex'), repeat('cd', 32), id, now() - random() * interval '1 day'
    from (select id from runners order by id desc limit $others) as newest";

const DELIVERIES: &str = "
    insert into webhook_deliveries (id, event, received_at)
    select gen_random_uuid()::text, 'workflow_job', now() - random() * interval '7 days'
    from generate_series(1, $others)";

const STRANGERS: &str = "
    insert into github_runners_cache (target, github_runner_id, name, status, busy, ephemeral, runner_group_id, labels,
        first_seen_at, seen_at)
    select 'org:$target', n, 'theirs-' || n, 'online', false, false, 1, array['self-hosted'], now(), now()
    from generate_series(1, $others) n";

const SAMPLES: &str = "
    insert into runner_samples (sampled_at, pending, active, offline, draining)
    select now() - make_interval(secs => n * 30), n % 7, n % 50, n % 3, 0 from generate_series(1, $others) n";

impl History {
    /// Writes it all into tables that hold no runners yet, and that no service is writing to, as somebody who may do
    /// anything with them, and has the database take stock.
    pub async fn write(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        for statement in [RUNNERS, ENTRIES, SEALS, CHECKPOINTS, PROGRESS, KEYS, DELIVERIES, STRANGERS, SAMPLES] {
            sqlx::raw_sql(AssertSqlSafe(self.filled(statement))).execute(&mut *connection).await?;
        }
        sqlx::raw_sql("vacuum analyze").execute(connection).await.map(drop)
    }

    /// The statement with this history's numbers, which are all that is put into it beside constants.
    fn filled(&self, statement: &str) -> String {
        let Self { runners, live, owners, entries, unsealed, others } = self;
        let numbers = [
            ("$runners", runners),
            ("$live", live),
            ("$owners", owners),
            ("$entries", entries),
            ("$unsealed", unsealed),
            ("$others", others),
        ];
        let texts = statement.replace("$issuer", ISSUER).replace("$target", &ORGANIZATION.to_lowercase());
        numbers.iter().fold(texts, |text, (name, number)| text.replace(name, &number.to_string()))
    }
}
