-- Two roles for a whole cluster: one owns the audit log, the other is what the service may do. Neither can log in;
-- those who do are members (migrations/README.md).

-- Sets the roles up as far as the current role is allowed to; safe to repeat, and repeated by `init-db`, so that the
-- service gets its rights on tables of later migrations. Returns what is left to do for somebody with more rights.
create function set_up_roles() returns setof text language plpgsql as $$
declare
    schema text := current_schema();
    role text;
    item text;
begin
    foreach role in array array['runner_tokens_owner', 'runner_tokens_service'] loop
        begin
            if not exists (select from pg_roles where rolname = role) then
                execute format('create role %I nologin', role);
            end if;
        exception
            when duplicate_object or unique_violation then null; -- another database of the cluster was quicker
            when insufficient_privilege then
                return next format('as a role with CREATEROLE: create role %I nologin;', role);
        end;
    end loop;

    if exists (select from pg_roles where rolname = 'runner_tokens_owner') then
        begin
            if not pg_has_role(current_user, 'runner_tokens_owner', 'usage') then
                execute format('grant runner_tokens_owner to %I', current_user);
            end if;
            execute format('grant usage, create on schema %I to runner_tokens_owner', schema);
            for item in
                select format('%s %I', case relkind when 'v' then 'view' else 'table' end, relname)
                from pg_class
                where relnamespace = schema::regnamespace and relname like 'audit\_log%' and relkind in ('r', 'p', 'v')
                    and pg_get_userbyid(relowner) <> 'runner_tokens_owner'
            loop
                execute format('alter %s owner to runner_tokens_owner', item);
            end loop;
            alter function audit_log_is_append_only owner to runner_tokens_owner;
            alter function audit_log_add_partitions owner to runner_tokens_owner;
        exception when insufficient_privilege then
            return next format(
                'as a superuser: grant runner_tokens_owner to %I; grant usage, create on schema %I to runner_tokens_owner;',
                current_user, schema
            );
        end;
    end if;

    if exists (select from pg_roles where rolname = 'runner_tokens_service') then
        begin
            execute format('grant usage on schema %I to runner_tokens_service', schema);
            for item in
                select relname from pg_class
                where relnamespace = schema::regnamespace and relkind in ('r', 'p')
                    and relowner = (select relowner from pg_class where oid = 'runners'::regclass)
                    and relname not like 'audit\_log%' and relname <> '_sqlx_migrations'
            loop
                execute format('grant select, insert, update, delete on %I to runner_tokens_service', item);
            end loop;
            grant select on _sqlx_migrations to runner_tokens_service;
            -- Neither the id nor the time nor the transaction of an entry is the service's to choose.
            grant select, insert (event, outcome, actor, principal_issuer, principal_subject, display_name, client_ip,
                user_agent, request_id, token_sha256, runner_id, runner_name, target, reasons, policy_sha256, details)
                on audit_log to runner_tokens_service;
            grant usage on sequence audit_log_id_seq to runner_tokens_service;
            grant select, insert on audit_log_seals, audit_log_checkpoints to runner_tokens_service;
            grant select on audit_log_drops, audit_log_partitions to runner_tokens_service;
            grant select, update on audit_log_progress to runner_tokens_service;
            grant execute on function audit_log_add_partitions to runner_tokens_service;
        exception when insufficient_privilege then
            return next format('as the owner of its tables: select set_up_roles(); %I may not grant rights on them',
                current_user);
        end;
    end if;
end
$$;

revoke execute on function audit_log_add_partitions, set_up_roles from public;
select set_up_roles();
