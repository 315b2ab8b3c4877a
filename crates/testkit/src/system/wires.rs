//! Wires between the parts of a system.

use std::net::SocketAddr;

use anyhow::Context as _;

use super::control_plane::ControlPlane;
use crate::github::FakeGithub;
use crate::issuer::DevIssuer;
use crate::wire::Wire;

/// The way from each part to the next, where [`SystemOptions::wires`](super::SystemOptions::wires) asks for them.
pub struct Wires {
    /// From the control planes to Postgres.
    pub postgres: Wire,
    /// From the control planes to GitHub.
    pub github: Wire,
    /// From Envoy to the dev issuer.
    pub issuer: Wire,
    /// From Envoy to each control plane.
    pub control_planes: Vec<Wire>,
}

impl Wires {
    /// Those to what is there before the control planes are.
    pub(super) async fn new(database_url: &str, github: &FakeGithub, issuer: &DevIssuer) -> anyhow::Result<Self> {
        let (_, address, _) = around_address(database_url).context("the database's URL has no address")?;
        let postgres = tokio::net::lookup_host(address).await?.next().context("the database has no address")?;
        Ok(Self {
            postgres: Wire::to(postgres).await?,
            github: Wire::to(github.address()).await?,
            issuer: Wire::to(issuer.address()).await?,
            control_planes: Vec::new(),
        })
    }

    /// Leads to a control plane; gives where Envoy finds it.
    pub(super) async fn add(&mut self, control_plane: &ControlPlane) -> anyhow::Result<(String, u16)> {
        let (host, port) = control_plane.host_and_port()?;
        let address = tokio::net::lookup_host((host, port)).await?.next().context("a control plane has no address")?;
        let wire = Wire::to(address).await?;
        let address = wire.address();
        self.control_planes.push(wire);
        Ok((address.ip().to_string(), address.port()))
    }
}

/// The URL by way of a wire, everything else as it is.
pub(super) fn through(wire: &Wire, url: &str) -> anyhow::Result<String> {
    replaced(url, wire.address()).with_context(|| format!("{url} has no address"))
}

fn replaced(url: &str, address: SocketAddr) -> Option<String> {
    let (before, _, after) = around_address(url)?;
    Some(format!("{before}{address}{after}"))
}

/// What stands before host and port, those, and what stands behind.
fn around_address(url: &str) -> Option<(&str, &str, &str)> {
    let start = url.find("://")?.checked_add(3)?;
    let end = url.get(start..)?.find('/').map_or(Some(url.len()), |end| start.checked_add(end))?;
    let user = url.get(start..end)?.rfind('@').and_then(|at| at.checked_add(1)).unwrap_or_default();
    let (before, rest) = url.split_at_checked(start.checked_add(user)?)?;
    let (address, after) = rest.split_at_checked(end.checked_sub(before.len())?)?;
    Some((before, address, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_change() {
        let wire = SocketAddr::from(([127, 0, 0, 1], 7));
        let through = |url| replaced(url, wire).unwrap();
        assert_eq!(through("http://127.0.0.1:80"), "http://127.0.0.1:7");
        assert_eq!(through("http://localhost:80/jwks?a=@b"), "http://127.0.0.1:7/jwks?a=@b");
        assert_eq!(through("postgres://u:p@10.0.0.1:5432/db?x=/"), "postgres://u:p@127.0.0.1:7/db?x=/");
        assert_eq!(replaced("postgres", wire), None);
    }
}
