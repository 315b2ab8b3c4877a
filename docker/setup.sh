#!/bin/sh
# Makes what a deployment needs and nobody should have to think of: the keys between the edge and the control plane, the
# key that signs checkpoints of the audit log, and a policy for as long as there is none. Safe to repeat.
#
#   setup                   at every start
#   setup rotate add        a new identity key beside the old one; then restart the control plane
#   setup rotate switch     the edge signs with the new one; then restart the edge
#   setup rotate finish     the old one counts no more; then restart the control plane
set -eu
umask 077

edge=${EDGE_KEYS:-/edge}
service=${SERVICE_KEYS:-/service}
app_key=${APP_KEY:-/github-app.pem}
own_policy=${OWN_POLICY:-/policy.yaml}

die() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

# keep FILE: what comes in becomes the file, whole or not at all.
keep() {
    cat >"$1.new"
    test -s "$1.new" || die "nothing to write to $1"
    mv "$1.new" "$1"
}

# pair PRIVATE PUBLIC: a new pair of keys, as PEM files.
pair() {
    made=$(runner-tokens identity-keygen)
    printf '%b\n' "$(printf '%s\n' "$made" | sed -n 's/^IDENTITY_SIGNING_KEY="\(.*\)"$/\1/p')" | keep "$1"
    printf '%b\n' "$(printf '%s\n' "$made" | sed -n 's/^IDENTITY_PUBLIC_KEYS="\(.*\)"$/\1/p')" | keep "$2"
}

keys() {
    if ! { test -s "$edge/identity-private" && test -s "$service/identity-public"; }; then
        pair "$edge/identity-private" "$service/identity-public"
    fi
    if ! test -s "$service/audit-private"; then
        pair "$service/audit-private" "$service/audit-public"
    fi
    if test -s "$app_key"; then
        keep "$service/github-app.pem" <"$app_key"
    fi
}

# Until POLICY_FILE is set: for tokens of GitHub Actions, which everybody on GitHub can get, the organisation's own
# workflows; for another issuer, everybody whom it vouches for to this audience. Labels beyond these need a policy.
policy() {
    rm -f "$service/policy.yaml"
    if test -s "$own_policy"; then
        ln -s "$own_policy" "$service/policy.yaml"
        return
    fi
    case "$OIDC_ISSUER$OIDC_AUDIENCE$GITHUB_ORG" in *[\"\\]*) die "OIDC_ISSUER, OIDC_AUDIENCE and GITHUB_ORG can't have quotes or backslashes" ;; esac
    {
        printf 'version: 1\nrules:\n  - name: default\n    match:\n      iss: "%s"\n' "$OIDC_ISSUER"
        if test "$OIDC_ISSUER" = https://token.actions.githubusercontent.com; then
            printf '      claims: {repository_owner: "%s"}\n' "$GITHUB_ORG"
        else
            printf '      claims: {aud: "%s"}\n' "$OIDC_AUDIENCE"
        fi
        printf '    grant:\n      targets: ["org:%s"]\n' "$GITHUB_ORG"
        printf '      labels: [self-hosted, linux, windows, macos, x64, x86, arm, arm64, gpu]\n'
    } | keep "$service/policy.yaml"
    runner-tokens policy check "$service/policy.yaml" >&2
}

rotate() {
    next=$edge/identity-private.next
    case "$1" in
    add)
        test ! -e "$next" || die "a rotation is under way: go on with switch, then finish"
        pair "$next" "$service/identity-public.next"
        cat "$service/identity-public" "$service/identity-public.next" | keep "$service/identity-public"
        ;;
    switch)
        test -s "$next" || die "no rotation is under way: begin with add"
        mv "$next" "$edge/identity-private"
        ;;
    finish)
        test -s "$service/identity-public.next" || die "no rotation is under way: begin with add"
        test ! -e "$next" || die "the edge still signs with the old key: switch first"
        mv "$service/identity-public.next" "$service/identity-public"
        ;;
    *) die "rotate what? add, switch or finish" ;;
    esac
}

case "${1:-}" in
"") keys && policy ;;
rotate) rotate "${2:-}" ;;
*) die "unknown command $1" ;;
esac
if test "$(id -u)" = 0; then
    chown -R 65532:65532 "$edge" "$service"
fi
