-- Rows whose runner may still show up on GitHub, for listings lag behind: see control-plane/src/jobs/interrupted.rs.
create index runners_interrupted on runners (target, deleted_at) where mode = 'jit'
    and (deleted_reason = 'provision-interrupted' or (deleted_reason = 'deprovisioned' and github_runner_id is null));
