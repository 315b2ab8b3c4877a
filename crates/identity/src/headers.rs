//! Names of the headers that carry an identity, in lower case as HTTP/2 has them (RFC 9113 section 8.2.1).

/// The signed assertion: the one header that an upstream may believe.
pub const ASSERTION: &str = "x-identity-assertion";
/// The issuer of the caller's token; for access logs and upstreams that trust the network.
pub const ISSUER: &str = "x-auth-issuer";
/// The subject of the caller's token; for access logs and upstreams that trust the network.
pub const SUBJECT: &str = "x-auth-subject";
/// The caller's display name; for access logs and upstreams that trust the network.
pub const NAME: &str = "x-auth-identity";
/// The caller's address as Envoy determined it; Envoy overwrites what a client sends.
pub const CLIENT_IP: &str = "x-client-ip";
