//! `identity-keygen`

use clap::Args;
use identity::KeyPair;

use super::Output;

#[derive(Args)]
pub(super) struct KeygenArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn keygen(arguments: &KeygenArgs) -> anyhow::Result<()> {
    let KeyPair { private_pem, public_pem, key_id } = KeyPair::generate()?;
    match arguments.output {
        Output::Json => {
            let pair = serde_json::json!({"key_id": key_id, "private_key": private_pem, "public_key": public_pem});
            println!("{pair:#}");
        }
        Output::Table => {
            let line = |pem: &str| pem.trim().replace('\n', "\\n");
            println!("# Key {key_id}. The signing key is a secret of the edge; the other one may be seen by anybody.");
            println!("IDENTITY_SIGNING_KEY=\"{}\"", line(&private_pem));
            println!("IDENTITY_PUBLIC_KEYS=\"{}\"", line(&public_pem));
        }
    }
    Ok(())
}
