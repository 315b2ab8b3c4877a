-- The kill switch: whom this service refuses, whatever the policy says.
create table revocations (
    id bigint generated always as identity primary key,
    issuer text not null check (issuer <> ''),
    -- One principal of the issuer.
    subject text check (subject <> ''),
    -- Or everybody of the issuer with this claim (a name, or a JSON Pointer into one) of this value. With neither, the whole
    -- issuer.
    claim text check (claim <> ''),
    claim_value text check (claim_value <> ''),
    -- For people to read.
    reason text not null,
    revoked_by text not null,
    revoked_at timestamptz not null,
    constraint claim_has_value check ((claim is null) = (claim_value is null)),
    constraint one_of_both check (subject is null or claim is null)
);
create unique index revocations_of on revocations (
    issuer, coalesce(subject, ''), coalesce(claim, ''), coalesce(claim_value, '')
);

-- Who asked for a runner, for the owner may be a team. Null in rows of older versions: there the owner asked.
alter table runners
    add column provisioner_issuer text,
    add column provisioner_subject text,
    -- What the issuer said of them, for revocations by claim; kept as long as the runner lives.
    add column provisioner_claims jsonb;
