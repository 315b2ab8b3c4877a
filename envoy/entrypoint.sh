#!/bin/sh
# Fills ${NAME} in the template from the environment and starts Envoy. A name without a value is an error.
set -eu

template=${ENVOY_TEMPLATE:-/etc/envoy/envoy.yaml.template}
rendered=/tmp/envoy.yaml

# The issuer's keys: the cluster, host and port follow from the URL.
case $OIDC_JWKS_URL in
  https://*) OIDC_JWKS_CLUSTER=jwks_https port=443 ;;
  http://*) OIDC_JWKS_CLUSTER=jwks_http port=80 ;;
  *) echo "OIDC_JWKS_URL must begin with https:// (or http:// for a test issuer)" >&2; exit 2 ;;
esac
authority=${OIDC_JWKS_URL#*://}
authority=${authority%%/*}
OIDC_JWKS_HOST=${authority%%:*}
case $authority in *:*) port=${authority##*:} ;; esac
OIDC_JWKS_PORT=$port

if [ -n "${IDENTITY_SIGNING_KEY_FILE:-}" ]; then
  IDENTITY_SIGNING_KEY=$(cat "$IDENTITY_SIGNING_KEY_FILE")
fi
: "${IDENTITY_SIGNING_KEY:?set IDENTITY_SIGNING_KEY or IDENTITY_SIGNING_KEY_FILE (runner-tokens identity-keygen makes one)}"
export IDENTITY_SIGNING_KEY

: "${ADMIN_HOST:=127.0.0.1}" "${ADMIN_PORT:=9901}" "${EDGE_HOST:=0.0.0.0}" "${EDGE_PORT:=8080}"
: "${CONTROL_PLANE_HOST:=control-plane}" "${CONTROL_PLANE_PORT:=8000}"
: "${FILTER_PATH:=/etc/envoy/oidc_filter.wasm}" "${CA_CERTIFICATES:=/etc/ssl/certs/ca-certificates.crt}"

script=
for name in ADMIN_HOST ADMIN_PORT EDGE_HOST EDGE_PORT CONTROL_PLANE_HOST CONTROL_PLANE_PORT FILTER_PATH \
  CA_CERTIFICATES OIDC_ISSUER OIDC_AUDIENCE OIDC_JWKS_URL OIDC_JWKS_CLUSTER OIDC_JWKS_HOST OIDC_JWKS_PORT; do
  eval "value=\${$name:-}"
  if [ -z "$value" ]; then echo "$name is not set" >&2; exit 2; fi
  case $value in
    *[\|\"\\]* | *"
"*) echo "$name holds a character that has no place in it" >&2; exit 2 ;;
  esac
  # In a replacement, & stands for the whole match.
  value=$(printf '%s' "$value" | sed 's/&/\\&/g')
  script="$script;s|\${$name}|$value|g"
done
sed "${script#;}" "$template" >"$rendered"

exec envoy --config-path "$rendered" --disable-hot-restart "$@"
