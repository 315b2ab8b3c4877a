//! `identity-keygen`

use identity::KeyPair;

use super::{Output, OutputArgs, screen};

pub(super) fn keygen(arguments: &OutputArgs) -> anyhow::Result<()> {
    let KeyPair { private_pem, public_pem, key_id } = KeyPair::generate()?;
    match arguments.output {
        Output::Json => {
            let pair = serde_json::json!({"key_id": key_id, "private_key": private_pem, "public_key": public_pem});
            screen::print_json(&pair)
        }
        Output::Table => {
            let line = |pem: &str| pem.trim().replace('\n', "\\n");
            screen::print(&format!(
                "# Key {key_id}.\n# The signing key is a secret of the edge; the other one may be seen by anybody.\n\
                 IDENTITY_SIGNING_KEY=\"{}\"\nIDENTITY_PUBLIC_KEYS=\"{}\"\n",
                line(&private_pem),
                line(&public_pem)
            ))
        }
    }
}
