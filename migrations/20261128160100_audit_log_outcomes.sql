-- What is counted over time: runners that were registered, and denials. Few beside all that the log has. Whoever writes
-- waits while it is made: seconds for millions of entries.
create index audit_log_counted on audit_log (occurred_at) where event = 'provision.issued' or outcome = 'denied';
