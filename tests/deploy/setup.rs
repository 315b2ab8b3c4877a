//! The service of compose that makes the keys, run here in a directory instead of a container.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::ensure;
use testkit::system::Tools;

struct Place {
    root: PathBuf,
    tools: Tools,
}

impl Place {
    fn new(test: &str) -> anyhow::Result<Self> {
        let root = std::env::temp_dir().join(format!("setup-{test}-{}", std::process::id()));
        for directory in ["edge", "service"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::write(root.join("app.pem"), "the App's key\n")?;
        Ok(Self { root, tools: Tools::from_env()? })
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = self.tools.control_plane.parent().map(PathBuf::from).unwrap_or_default();
        let mut setup = Command::new("sh");
        setup.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/setup.sh")).args(arguments).current_dir(&self.root);
        setup.env("PATH", format!("{}:{path}", programs.display()));
        setup.env("EDGE_KEYS", self.root.join("edge")).env("SERVICE_KEYS", self.root.join("service"));
        setup.env("APP_KEY", self.root.join("app.pem")).env("OWN_POLICY", self.root.join("policy.yaml"));
        setup
            .env("GITHUB_ORG", "Acme")
            .env("OIDC_AUDIENCE", "runner-tokens")
            .env("OIDC_ISSUER", "https://token.actions.githubusercontent.com");
        Ok(setup.output()?)
    }

    fn done(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.run(arguments)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.root.join(name))?)
    }

    /// How many of the service's public keys check what the edge's private key signs: 1, or the edge is shut out.
    fn accepted(&self) -> anyhow::Result<(usize, usize)> {
        let mut public = Command::new("openssl");
        public.args(["pkey", "-pubout", "-in"]).arg(self.root.join("edge/identity-private"));
        let public = String::from_utf8(public.output()?.stdout)?;
        let all = self.read("service/identity-public")?;
        ensure!(public.contains("BEGIN PUBLIC KEY"), "{public}");
        Ok((all.matches(public.trim()).count(), all.matches("BEGIN PUBLIC KEY").count()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn keys_are_made_once_and_rotate_without_a_moment_in_which_the_edge_is_shut_out() -> anyhow::Result<()> {
    let place = Place::new("rotation")?;
    place.done(&[])?;
    assert_eq!(place.read("service/github-app.pem")?, "the App's key\n");
    let (first, audit) = (place.read("edge/identity-private")?, place.read("service/audit-private")?);
    place.done(&[])?;
    assert_eq!((place.read("edge/identity-private")?, place.read("service/audit-private")?), (first.clone(), audit));
    assert_eq!(place.accepted()?, (1, 1));

    assert!(!place.run(&["rotate", "switch"])?.status.success());
    place.done(&["rotate", "add"])?;
    assert_eq!(place.accepted()?, (1, 2));
    assert!(!place.run(&["rotate", "add"])?.status.success());
    assert!(!place.run(&["rotate", "finish"])?.status.success());
    place.done(&["rotate", "switch"])?;
    assert_eq!(place.accepted()?, (1, 2));
    assert_ne!(place.read("edge/identity-private")?, first);
    place.done(&["rotate", "finish"])?;
    assert_eq!(place.accepted()?, (1, 1));
    Ok(())
}

/// GitHub gives tokens of Actions to everybody, so without a policy of one's own they are narrowed to the organisation.
#[test]
fn the_policy_that_is_made_lets_the_organisations_own_workflows_in_and_nobody_else() -> anyhow::Result<()> {
    let place = Place::new("policy")?;
    place.done(&[])?;
    let verdict = |owner: &str| -> anyhow::Result<String> {
        let claims = format!(
            r#"{{"iss": "https://token.actions.githubusercontent.com", "sub": "repo:x/y", "repository_owner": "{owner}"}}"#
        );
        fs::write(place.root.join("claims.json"), claims)?;
        fs::write(
            place.root.join("request.json"),
            r#"{"runner_name": "one", "labels": ["linux", "gpu"], "mode": "jit"}"#,
        )?;
        let mut explain = Command::new(&place.tools.control_plane);
        explain.args(["policy", "explain", "--file", "service/policy.yaml", "--claims", "claims.json"]);
        explain.args(["--request", "request.json"]).env("GITHUB_ORG", "Acme").current_dir(&place.root);
        Ok(String::from_utf8(explain.output()?.stdout)?)
    };
    assert!(verdict("Acme")?.starts_with("ALLOWED"), "{}", verdict("Acme")?);
    assert!(verdict("Evil")?.starts_with("DENIED"), "{}", verdict("Evil")?);

    fs::write(place.root.join("policy.yaml"), "version: 1\nrules: []\n")?;
    place.done(&[])?;
    assert_eq!(place.read("service/policy.yaml")?, "version: 1\nrules: []\n");
    Ok(())
}
