-- The drain queue: runners that are to go as soon as they are idle. Part of the runner's row, so that whoever looks at
-- the runner sees whether and why it waits.
alter table runners
    add column drain_requested_at timestamptz,
    add column drain_attempts integer not null default 0,
    add column drain_next_at timestamptz,
    -- Why the newest attempt did not succeed.
    add column drain_error text,
    add constraint drain_has_next check ((drain_requested_at is null) = (drain_next_at is null));
create index runners_draining on runners (drain_next_at) where drain_next_at is not null and state <> 'deleted';
