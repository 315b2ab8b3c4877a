-- How a live runner on GitHub differs from the one that was asked for (labels, group), as last noted in the audit log;
-- null: not at all. Part of the runner's row, so that each difference is noted once.
alter table runners add column drift jsonb;
