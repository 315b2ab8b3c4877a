#!/bin/sh
# Turns this machine into a GitHub Actions runner for one job: gets an OIDC token with the client's own credentials,
# provisions a just-in-time runner with it, and starts the runner. No secret stands in an argument or in the output.
#
#   EDGE_URL            https://runners.example.com
#   TOKEN_URL           the token endpoint of the issuer: https://idp.example.com/oauth2/token
#   CLIENT_ID           this machine's client there (client credentials, RFC 6749)
#   CLIENT_SECRET_FILE  a file with its secret, readable for this user alone
#   RUNNER_DIRECTORY    where GitHub's runner is unpacked
#   RUNNER_PREFIX       what the runner's name begins with; default: the host's name
#   RUNNER_LABELS       separated by commas; default: linux
#   TOKEN_AUDIENCE      only for issuers that want to be asked for an audience
#
# Needs curl and jq.
set -eu
umask 077

die() {
    printf 'provision-runner: %s\n' "$1" >&2
    exit 1
}

for name in EDGE_URL TOKEN_URL CLIENT_ID CLIENT_SECRET_FILE RUNNER_DIRECTORY; do
    eval "test -n \"\${$name:-}\"" || die "set $name"
done
test -x "$RUNNER_DIRECTORY/run.sh" || die "there is no run.sh in $RUNNER_DIRECTORY: unpack GitHub's runner there"
test -s "$CLIENT_SECRET_FILE" || die "$CLIENT_SECRET_FILE is empty or can't be read"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM

# call URL OPTION...: the answer; what is secret comes as a configuration on standard input, not as an argument.
call() {
    url=$1
    shift
    status=$(curl --silent --show-error --config - --max-time 90 --output "$place/answer" --write-out '%{http_code}' \
        "$@" "$url") || die "no answer from $url"
    case "$status" in
    2??) cat "$place/answer" ;;
    *) die "$url answered $status: $(jq -r '.detail // .error_description // .error // empty' "$place/answer" 2>/dev/null)" ;;
    esac
}

# quoted TEXT: as a value in a configuration of curl.
quoted() {
    printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}

set -- --data grant_type=client_credentials
if test -n "${TOKEN_AUDIENCE:-}"; then
    set -- "$@" --data-urlencode "audience=$TOKEN_AUDIENCE"
fi
answer=$(printf 'user = %s\n' "$(quoted "$CLIENT_ID:$(cat "$CLIENT_SECRET_FILE")")" | call "$TOKEN_URL" "$@")
token=$(printf '%s' "$answer" | jq -er .access_token) || die "$TOKEN_URL gave no access_token"

request=$(jq -n --arg prefix "${RUNNER_PREFIX:-$(uname -n)}" --arg labels "${RUNNER_LABELS:-linux}" \
    '{runner_name_prefix: $prefix, labels: ($labels | split(",")), mode: "jit"}')
answer=$(printf 'header = %s\n' "$(quoted "Authorization: Bearer $token")" |
    call "$EDGE_URL/api/v1/runners/provision" --json "$request")
ACTIONS_RUNNER_INPUT_JITCONFIG=$(printf '%s' "$answer" | jq -er .encoded_jit_config) || die "the edge gave no JIT config"
printf 'provision-runner: this machine is %s\n' "$(printf '%s' "$answer" | jq -r .runner_name)"

# The runner takes its configuration from the environment, which other users can't read, unlike arguments.
export ACTIONS_RUNNER_INPUT_JITCONFIG
unset token answer
rm -rf "$place"
cd "$RUNNER_DIRECTORY"
exec ./run.sh
