-- How many live runners there were in each state, after each comparison with GitHub: what a chart shows of the past. Pruned after 31 days.
create table runner_samples (
    sampled_at timestamptz primary key,
    pending bigint not null,
    active bigint not null,
    offline bigint not null,
    -- Those that are to go when they are idle, whatever state they are in; the others don't count them.
    draining bigint not null
);
