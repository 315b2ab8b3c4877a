-- The chain over the audit log, and what is signed of it. docs/audit.md says how each value is made.

create table audit_log_seals (
    -- 1, 2, 3 … without a gap.
    position bigint primary key check (position > 0),
    entry_id bigint not null unique,
    -- Of the entry: leads to its partition.
    occurred_at timestamptz not null,
    -- SHA-256 over the position, the seal before, and the entry.
    seal bytea not null check (length(seal) = 32)
);
comment on table audit_log_seals is 'Append-only: the chain of hashes over audit_log';

create table audit_log_checkpoints (
    position bigint primary key,
    seal bytea not null check (length(seal) = 32),
    made_at timestamptz not null,
    -- SHA-256 of the public key, and the Ed25519 signature; null if no key was configured.
    key_id text,
    signature bytea check (length(signature) = 64),
    constraint signature_has_key check ((key_id is null) = (signature is null))
);
comment on table audit_log_checkpoints is 'Append-only: signed statements of how far the chain went, and to which seal';

-- Partitions that went after they were exported: why entries with these positions are missing.
create table audit_log_drops (
    partition_name text primary key,
    entries bigint not null check (entries >= 0),
    -- Of the first and the last entry in it; null if there was none. Entries of other months may lie between.
    first_position bigint,
    last_position bigint,
    -- The seal at `last_position`.
    seal bytea check (length(seal) = 32),
    -- Of the file that it was exported to.
    export_sha256 text not null check (export_sha256 ~ '^[0-9a-f]{64}$'),
    made_at timestamptz not null,
    key_id text,
    signature bytea check (length(signature) = 64),
    constraint signature_has_key check ((key_id is null) = (signature is null)),
    constraint empty_has_no_positions check (
        (entries = 0) = (first_position is null) and (entries = 0) = (last_position is null)
            and (entries = 0) = (seal is null)
    )
);
comment on table audit_log_drops is 'Append-only: partitions of audit_log that were exported and dropped';

create trigger audit_log_append_only before update or delete or truncate on audit_log_seals
    for each statement execute function audit_log_is_append_only();
create trigger audit_log_append_only before update or delete or truncate on audit_log_checkpoints
    for each statement execute function audit_log_is_append_only();
create trigger audit_log_append_only before update or delete or truncate on audit_log_drops
    for each statement execute function audit_log_is_append_only();

-- How far the sealing job is. Nothing is proved by it, and losing it costs only time.
create table audit_log_progress (
    only_row boolean primary key default true check (only_row),
    -- The cluster (`pg_control_system`) whose transactions the next column counts; null before the first round.
    system_identifier bigint,
    -- Every entry of a transaction before this one is sealed.
    sealed_below bigint not null default 0,
    -- The newest checkpoint that was published, and the newest entry that was written to AUDIT_FILE.
    published_position bigint not null default 0,
    pushed_position bigint not null default 0
);
insert into audit_log_progress default values;
