-- What GitHub has, as of the newest complete listing of each target; also runners that this service never made.
create table github_runners_cache (
    target text not null,
    github_runner_id bigint not null,
    name text not null,
    status text not null,
    busy boolean not null,
    ephemeral boolean,
    runner_group_id bigint,
    labels text[] not null,
    -- Tells a runner that was there before a provision from one that the provision made.
    first_seen_at timestamptz not null,
    seen_at timestamptz not null,
    primary key (target, github_runner_id)
);
create index github_runners_cache_name on github_runners_cache (target, lower(name));
