-- The audit log in partitions, one for each month (UTC), so that it grows well and old months can go as a whole.

-- Which transaction wrote an entry: the sealing job goes by it (docs/adr/0007-sealed-in-the-order-of-transactions.md). 0 for
-- entries from before this column was there. A constant default rewrites no row, so what is there stays as it is.
alter table audit_log add column transaction_id bigint not null default 0;
alter table audit_log alter column id drop identity;
alter table audit_log rename to audit_log_first;
alter index audit_log_pkey rename to audit_log_first_pkey;
alter index audit_log_runner rename to audit_log_first_runner;
drop index audit_log_time;

create sequence audit_log_id_seq;
select setval('audit_log_id_seq', coalesce(max(id), 1), max(id) is not null) from audit_log_first;

create table audit_log (like audit_log_first including constraints, unique (occurred_at, id))
    partition by range (occurred_at);
alter sequence audit_log_id_seq owned by audit_log.id;
alter table audit_log
    -- The three that the database gives, and that the service has no right to set.
    alter column id set default nextval('audit_log_id_seq'),
    alter column occurred_at set default clock_timestamp(),
    alter column transaction_id set default pg_current_xact_id()::text::bigint,
    alter column reasons set default '{}',
    alter column details set default '{}';
create index audit_log_transaction on audit_log (transaction_id, id);
create index audit_log_runner on audit_log (runner_id, id) where runner_id is not null;
comment on table audit_log is 'Append-only: a trigger refuses update, delete and truncate, here and on each partition';

create or replace function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only();

-- Both bounds of each partition; the default one has none, the first no start.
create view audit_log_partitions as
select
    partition.relname::text as name,
    substring(bounds from 'FROM \(''([^'']+)''\)')::timestamptz as starts_at,
    substring(bounds from 'TO \(''([^'']+)''\)')::timestamptz as ends_at
from pg_inherits
join pg_class partition on partition.oid = inhrelid
cross join lateral pg_get_expr(partition.relpartbound, partition.oid) as bounds
where inhparent = 'audit_log'::regclass;

-- Makes the partitions of this month and of so many after it. Returns the months that could not have one, because the
-- default partition holds entries of theirs already; those stay there. Attaching a table does not wait for writers.
create function audit_log_add_partitions(months_ahead integer) returns setof text
language plpgsql security definer as $$
declare
    month timestamp := date_trunc('month', now() at time zone 'UTC');
    until timestamp := month + make_interval(months => months_ahead);
    partition text;
begin
    perform set_config('lock_timeout', '2s', true);
    while month <= until loop
        partition := 'audit_log_' || to_char(month, 'YYYY_MM');
        if not exists (
            select from audit_log_partitions
            where ends_at > month at time zone 'UTC'
                and (starts_at is null or starts_at <= month at time zone 'UTC')
        ) then
            begin
                execute format('create table %I (like audit_log including all)', partition);
                -- A trigger for statements on the whole table says nothing about those on one partition.
                execute format(
                    'create trigger audit_log_append_only before update or delete or truncate on %I '
                    'for each statement execute function audit_log_is_append_only()',
                    partition
                );
                execute format(
                    'alter table audit_log attach partition %I for values from (%L) to (%L)',
                    partition,
                    month at time zone 'UTC',
                    (month + interval '1 month') at time zone 'UTC'
                );
            exception when check_violation then
                return next partition;
            end;
        end if;
        month := month + interval '1 month';
    end loop;
end
$$;

do $$
declare
    newest timestamptz := (select max(occurred_at) from audit_log_first);
begin
    -- Whoever may call the function must not be able to lead it to other tables.
    execute format('alter function audit_log_add_partitions set search_path = %I, pg_temp', current_schema());
    if newest is null then
        drop table audit_log_first;
    else
        -- Everything up to the end of this month, untouched; it keeps its trigger.
        execute format(
            'alter table audit_log attach partition audit_log_first for values from (minvalue) to (%L)',
            (date_trunc('month', greatest(newest, now()) at time zone 'UTC') + interval '1 month') at time zone 'UTC'
        );
    end if;
end
$$;
select audit_log_add_partitions(3);

-- Where an entry goes whose month has no partition: an insert never fails for the want of one.
create table audit_log_default partition of audit_log default;
create trigger audit_log_append_only before update or delete or truncate on audit_log_default
    for each statement execute function audit_log_is_append_only();
