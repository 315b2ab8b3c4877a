-- What came of a job's newest run. `told_of` is the run that the columns beside it tell of: a version before this one
-- changes `done_at` alone, and what they say is of no run that counts then.
alter table job_runs
    add column told_of timestamptz,
    -- In a few words why it failed; null if it went well.
    add column problem text,
    -- The process that did it: name of its machine and its id there.
    add column replica text,
    -- When the next one is due.
    add column next_at timestamptz;
