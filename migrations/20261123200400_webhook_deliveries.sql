-- Deliveries of GitHub's webhooks that were taken, so that a repeat is known as one. Pruned after a week: GitHub offers
-- to deliver again for three days.
create table webhook_deliveries (
    -- `X-GitHub-Delivery`, the same on every redelivery.
    id text primary key check (length(id) between 1 and 100),
    event text not null,
    received_at timestamptz not null
);
create index webhook_deliveries_age on webhook_deliveries (received_at);
