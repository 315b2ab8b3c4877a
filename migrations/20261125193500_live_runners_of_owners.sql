-- Limits count the live runners of an owner, who may have had very many.
create index runners_live_owner on runners (owner_issuer, owner_subject, state) where state <> 'deleted';
