-- Every operation and every denial, for good.
create table audit_log (
    id bigint generated always as identity primary key,
    occurred_at timestamptz not null,
    event text not null,
    outcome text not null check (outcome in ('success', 'denied', 'failure', 'unknown')),
    -- `principal`: somebody verified; `anonymous`: nobody verified; `system`: a job; `admin`: the command line.
    actor text not null check (actor in ('principal', 'anonymous', 'system', 'admin')),
    principal_issuer text,
    principal_subject text,
    display_name text,
    client_ip text,
    user_agent text,
    request_id text,
    token_sha256 text,
    runner_id uuid,
    runner_name text,
    target text,
    -- Why it was decided so, in the order in which it was found.
    reasons text[] not null default '{}',
    -- Hash of the policy file that decided; null while there is none.
    policy_sha256 text,
    -- What else is worth knowing of this event. Never a secret.
    details jsonb not null default '{}',
    constraint principal_is_whole check (
        (actor = 'principal') = (principal_issuer is not null and principal_subject is not null)
    )
);

create index audit_log_time on audit_log (occurred_at, id);
create index audit_log_runner on audit_log (runner_id, id) where runner_id is not null;

create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only: % refused', tg_op using errcode = 'insufficient_privilege';
end
$$;

-- For each statement, so that one which would touch no row is refused too.
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only();

comment on table audit_log is 'Append-only: a trigger refuses update, delete and truncate';
