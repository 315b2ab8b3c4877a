-- Runners that are live stay few beside all that ever were: whoever looks for live ones must not walk through the others.
create index runners_live on runners (id) where state <> 'deleted';
create index runners_live_name_anywhere on runners (lower(name)) where state <> 'deleted';
-- A page of an owner's runners in its order. It also counts them by state, so `runners_live_owner` is left to versions
-- before this one and may go after it. Not here: a lock that shuts out readers, taken after one that lets them in, and
-- requests that are under way wait for each other.
create index runners_live_of_owner on runners (owner_issuer, owner_subject, id desc) include (state)
    where state <> 'deleted';
