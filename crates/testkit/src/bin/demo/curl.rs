//! What a person is told: where everything is, and lines for a shell, ready to be pasted.

use testkit::system::{CLIENT, CLIENT_SECRET, SUBJECT, System};

/// A table of the parts.
pub(crate) fn what_runs_where(system: &System) -> String {
    let (edge, admin) = (system.edge_url(), system.admin_url());
    let (control_plane, issuer) = (system.control_plane_url(), system.issuer().issuer());
    let (github, database) = (system.github().base_url(), system.database_url());
    let logs = system.scope().directory().display();
    format!(
        "\
The system is up:
  edge            {edge}   Envoy with the filter: the way in for clients
  control plane   {control_plane}   behind the edge, believes nobody else
  dev issuer      {issuer}   gives tokens to {CLIENT}, who is {SUBJECT}
  fake GitHub     {github}
  Envoy's admin   {admin}
  database        {database}
  logs            {logs}/*.log
"
    )
}

/// Lines that work when pasted in this order. Every command line is indented by two spaces.
pub(crate) fn lines(system: &System) -> String {
    let (edge, token_endpoint, github) =
        (system.edge_url(), system.issuer().token_endpoint(), system.github().base_url());
    let field = |name: &str| format!(r#"sed -E 's/.*"{name}":"(([^"\\]|\\.)*)".*/\1/'"#);
    let (access_token, command, name) = (field("access_token"), field("configuration_command"), field("runner_name"));
    format!(
        r#"Paste these into another shell.

A token from the dev issuer:
  TOKEN=$(curl -sS {token_endpoint} -d grant_type=client_credentials -d client_id={CLIENT} -d client_secret={CLIENT_SECRET} | {access_token})

Provision a runner:
  ANSWER=$(curl -sS {edge}/api/v1/runners/provision -H "Authorization: Bearer $TOKEN" -H 'content-type: application/json' -d '{{"runner_name_prefix": "mine", "labels": ["gpu"]}}'); printf '%s\n' "$ANSWER"

Let a machine run the command of the answer, which registers it at the fake GitHub and brings it online:
  curl -sS {github}/fake/machines -d "{{\"command\": \"$(printf '%s' "$ANSWER" | {command})\"}}"; echo

Ask GitHub how it is, then list your runners:
  NAME=$(printf '%s' "$ANSWER" | {name}); curl -sS -X POST {edge}/api/v1/runners/$NAME/refresh -H "Authorization: Bearer $TOKEN"; echo
  curl -sS {edge}/api/v1/runners -H "Authorization: Bearer $TOKEN"; echo

Delete it:
  curl -sS -i -X DELETE {edge}/api/v1/runners/$NAME -H "Authorization: Bearer $TOKEN"; echo

Denied: no token, whatever the other headers claim:
  curl -sS -i {edge}/api/v1/runners -H 'x-auth-subject: {SUBJECT}' -H 'x-identity-assertion: forged'; echo
"#
    )
}
