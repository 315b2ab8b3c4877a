//! `doctor` looks at a running system, through the edge.

use anyhow::Context as _;
use serde_json::Value;

use crate::support::{in_shared_system, token_of};

#[test]
fn a_running_system_is_well_and_a_bad_token_is_not() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let (token, key) =
            (system.scope().directory().join("doctor-token"), system.scope().directory().join("edge.pem"));
        let (token_path, key_path) = (token.to_str().context("no path")?, key.to_str().context("no path")?);
        std::fs::write(&token, token_of(system, "doctor")?)?;
        std::fs::write(&key, &system.identity().private_pem)?;
        let arguments = [
            "doctor",
            "--edge",
            system.edge_url(),
            "--token-file",
            token_path,
            "--edge-key-file",
            key_path,
            "--output",
            "json",
        ];
        let said: Value = serde_json::from_str(&system.cli().succeed(&arguments).await?)?;
        let findings = said["findings"].as_array().context("no findings")?;
        let well = |check: &str| {
            findings.iter().filter(|finding| finding["check"] == check && finding["level"] == "ok").count()
        };
        let counts = (well("edge"), well("edge-identity"), well("identity-keys"), well("permissions"));
        assert_eq!(counts, (3, 1, 1, 1), "{said:#}");
        assert!(said.to_string().contains("signed with the edge's own key"), "{said:#}");

        std::fs::write(&token, "no token")?;
        let refused = system.cli().run(&arguments).await?;
        assert_eq!(refused.status.code(), Some(4));
        assert!(String::from_utf8(refused.stdout)?.contains("the edge refuses the token"));
        Ok(())
    })
}
