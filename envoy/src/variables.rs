//! Every environment variable that the edge reads: docs/configuration.md is made of this.

/// An environment variable that the edge reads.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name, and that of its place in the template if it has one.
    pub name: &'static str,
    /// What it is when it is not set.
    pub default: Option<&'static str>,
    /// The edge does not start without it.
    pub required: bool,
    /// Its value is never shown.
    pub secret: bool,
    /// What it is for.
    pub about: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Stands between double quotes in the template.
    Text,
    /// Stands by itself there; from here to there.
    Number(u64, u64),
    /// Has no place there, for the program itself reads it.
    Program,
}

const fn variable(name: &'static str, kind: Kind, default: Option<&'static str>, about: &'static str) -> Variable {
    Variable { name, default, required: false, secret: false, about, kind }
}

const fn required(name: &'static str, about: &'static str) -> Variable {
    Variable { required: true, ..variable(name, Kind::Text, None, about) }
}

const fn text(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    variable(name, Kind::Text, Some(default), about)
}

const fn number(name: &'static str, default: &'static str, range: (u64, u64), about: &'static str) -> Variable {
    variable(name, Kind::Number(range.0, range.1), Some(default), about)
}

/// Names the file that says where the certificate for clients is; not set, they are served without TLS.
pub(crate) const TLS_FILE: Variable = variable(
    "EDGE_TLS_FILE",
    Kind::Text,
    None,
    "Serves TLS with the certificate that this file names, such as `/etc/envoy/tls.yaml` of the image; see \
     [envoy/README.md](../envoy/README.md#for-production). Unset, clients are served without.",
);

/// Every variable.
pub const VARIABLES: &[Variable] = &[
    required("OIDC_ISSUER", "`iss` of the tokens that are accepted, to the letter."),
    required("OIDC_AUDIENCE", "`aud` of the tokens that are accepted."),
    required("OIDC_JWKS_URL", "Where the issuer's keys are. Cluster, host and port follow from it."),
    Variable {
        secret: true,
        ..variable(
            "IDENTITY_SIGNING_KEY",
            Kind::Program,
            None,
            "The key with which the edge signs who called: a PKCS#8 PEM (Ed25519), on one line with `\\n`. Either this or \
             `IDENTITY_SIGNING_KEY_FILE` must be set. The control plane must not have it.",
        )
    },
    variable("IDENTITY_SIGNING_KEY_FILE", Kind::Program, None, "A file with it."),
    text("EDGE_HOST", "0.0.0.0", "Where clients connect."),
    number("EDGE_PORT", "8080", (0, 65535), "And on which port; 0 takes any free one."),
    TLS_FILE,
    number(
        "EDGE_TRUSTED_HOPS",
        "0",
        (0, 16),
        "The number of proxies in front that append to `x-forwarded-for`: what the outermost of them wrote is the client's \
         address. 0: the peer's own address is.",
    ),
    number("EDGE_MAX_CONNECTIONS", "10000", (1, 1_000_000), "Connections of clients at a time."),
    number(
        "EDGE_MAX_HEAP_BYTES",
        "1073741824",
        (134_217_728, 1_099_511_627_776),
        "The memory at which Envoy sheds load, in bytes; some way below the container's limit.",
    ),
    text("ADMIN_HOST", "127.0.0.1", "Where Envoy's own statistics are. Keep them private."),
    number("ADMIN_PORT", "9901", (0, 65535), "And their port."),
    text(
        "CONTROL_PLANE_HOST",
        "control-plane",
        "Where the control plane is. Load is spread over all addresses of a name with several.",
    ),
    number("CONTROL_PLANE_PORT", "8000", (1, 65535), "And its port."),
    text("FILTER_PATH", "/etc/envoy/oidc_filter.wasm", "The filter's module, from `cargo xtask filter`."),
    text("CA_CERTIFICATES", "/etc/ssl/certs/ca-certificates.crt", "Who vouches for the issuer's TLS certificate."),
    variable("ENVOY_BIN", Kind::Program, Some("envoy"), "The Envoy that `edge run` becomes."),
    variable("ENVOY_TEMPLATE", Kind::Program, None, "A template of one's own in place of the shipped `envoy.yaml`."),
];
