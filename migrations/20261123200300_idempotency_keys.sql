-- Repeats of a provision. Keys and bodies are held as SHA-256 only; pruned after a day.
create table idempotency_keys (
    -- Of principal and key together: two callers may use the same key.
    key_sha256 text primary key check (key_sha256 ~ '^[0-9a-f]{64}$'),
    body_sha256 text not null check (body_sha256 ~ '^[0-9a-f]{64}$'),
    -- Deferred: the key is claimed first, so that of two equal requests one waits and then repeats the other.
    runner_id uuid not null references runners (id) deferrable initially deferred,
    created_at timestamptz not null
);
create index idempotency_keys_age on idempotency_keys (created_at);
create index idempotency_keys_runner on idempotency_keys (runner_id);
