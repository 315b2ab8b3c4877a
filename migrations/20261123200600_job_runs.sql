-- When each job was done last, by whichever replica, so that any number of them does it once an interval.
create table job_runs (
    job text primary key,
    -- Start of the newest run that came to its end. One that was killed is not here, so another replica repeats it.
    done_at timestamptz not null
);
