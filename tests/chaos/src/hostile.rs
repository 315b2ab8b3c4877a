//! Somebody without a good token, who tries all the time: whatever fails, nothing may be let in.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client as Http, RequestBuilder};
use testkit::choices::Random;
use testkit::issuer::{Mint, SignWith, When, hs256_token};
use testkit::system::AUDIENCE;

use crate::answers::send;
use crate::world::Outside;

const PAUSE: Duration = Duration::from_millis(200);

/// What they have instead of a good token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trick {
    Nothing,
    Forged,
    Expired,
    ForAnother,
    Symmetric,
    Headers,
}

const TRICKS: [Trick; 6] =
    [Trick::Nothing, Trick::Forged, Trick::Expired, Trick::ForAnother, Trick::Symmetric, Trick::Headers];

/// Tries one after the other, for ever.
pub(crate) async fn run(http: Http, mut random: Random, outside: Arc<Outside>) {
    loop {
        let under_way = outside.gate.read().await;
        if let Some(&trick) = random.pick(&TRICKS) {
            attempt(&http, trick, &outside).await;
        }
        drop(under_way);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(http: &Http, trick: Trick, outside: &Outside) {
    let request = http.get(outside.url("/api/v1/runners"));
    match dressed(request, trick, outside) {
        Ok(request) => outside.book.note_hostile(&format!("{trick:?}"), &send(request).await),
        Err(error) => outside.book.broken(format!("no token for {trick:?}: {error:#}")),
    }
}

/// The request with what they have.
pub(crate) fn dressed(request: RequestBuilder, trick: Trick, outside: &Outside) -> anyhow::Result<RequestBuilder> {
    let good = Mint::new("keeper", AUDIENCE);
    let mint = match trick {
        Trick::Nothing => return Ok(request),
        Trick::Forged => Mint { sign_with: SignWith::Stranger, ..good },
        Trick::Expired => Mint { expires: When::Ago(Duration::from_hours(1)), ..good },
        Trick::ForAnother => Mint::new("keeper", "another-service"),
        Trick::Symmetric => {
            let payload = serde_json::json!({"iss": outside.issuer.issuer(), "aud": AUDIENCE, "sub": "keeper"});
            return Ok(request.bearer_auth(hs256_token(&serde_json::json!({"alg": "HS256"}), &payload, b"secret")?));
        }
        Trick::Headers => {
            let token = outside.token("keeper")?;
            return Ok(request.header("x-identity-assertion", token).header("x-auth-subject", "keeper"));
        }
    };
    Ok(request.bearer_auth(outside.issuer.mint(&mint)?))
}
