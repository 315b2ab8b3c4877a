//! Errors as one line for logs.

use std::error::Error;

/// An error with everything that caused it. Libraries' own texts often are a single word.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> =
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    texts.join(": ")
}
