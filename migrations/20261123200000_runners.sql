-- Runners that this service registered, from the intent to the end of their life. A row is never removed.
create table runners (
    id uuid primary key,
    -- `org:NAME` or `repo:OWNER/NAME`, in lower case as GitHub compares them.
    target text not null check (target = lower(target)),
    name text not null check (length(name) between 1 and 64),
    -- Who sees and manages it. An empty issuer is kept for owners that a policy names; no caller has one.
    owner_issuer text not null,
    owner_subject text not null check (owner_subject <> ''),
    -- For people to read; decides nothing.
    owner_name text not null,
    mode text not null check (mode in ('registration-token', 'jit')),
    labels text[] not null,
    runner_group_id bigint not null check (runner_group_id > 0),
    ephemeral boolean not null,
    disable_update boolean not null,

    state text not null check (state in ('pending', 'active', 'offline', 'deleted')),
    deleted_reason text,
    -- How far the conversation with GitHub about its secret went: see control-plane/src/operations/provision.rs.
    issuance text not null check (issuance in ('requested', 'unknown', 'issued')),
    -- Start of the newest attempt to have a secret issued.
    requested_at timestamptz not null,
    -- Of the newest secret handed out. The secret itself is never stored.
    secret_sha256 text check (secret_sha256 ~ '^[0-9a-f]{64}$'),
    secret_expires_at timestamptz,

    github_runner_id bigint,
    busy boolean not null default false,
    offline_since timestamptz,
    -- The first complete listing of GitHub that lacked it; the second one ends it.
    missing_since timestamptz,

    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    constraint deleted_has_reason check ((state = 'deleted') = (deleted_reason is not null)),
    constraint deleted_has_time check ((state = 'deleted') = (deleted_at is not null)),
    constraint issued_has_secret check (issuance <> 'issued' or secret_sha256 is not null)
);

-- GitHub lower-cases names when it compares them.
create unique index runners_live_name on runners (target, lower(name)) where state <> 'deleted';
create unique index runners_live_github_id on runners (target, github_runner_id)
    where state <> 'deleted' and github_runner_id is not null;
create index runners_owner on runners (owner_issuer, owner_subject, id desc);
create index runners_live_target on runners (target) where state <> 'deleted';

comment on table runners is 'Runners that this service registered; GitHub''s other runners are in github_runners_cache';
