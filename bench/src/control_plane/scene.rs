//! Both services, with the same records.

use anyhow::Context as _;
use bench::records;
use bench::system::{WORKERS, options};
use sqlx::{Connection as _, PgConnection};
use testkit::history::{History, ISSUER};
use testkit::issuer::Mint;
use testkit::system::{AUDIENCE, System, SystemOptions};

use crate::Arguments;
use crate::peer::Peer;

/// Live runners; each of fifty owners has twenty.
const LIVE: u32 = 1_000;
const OWNERS: u32 = 50;
/// Who has twenty live runners, and asks for them.
pub(crate) const READER: &str = "owner-7";
/// Who asks for new ones.
pub(crate) const MAKER: &str = "maker";

/// Both services.
pub(crate) struct Scene {
    pub(crate) system: System,
    pub(crate) peer: Peer,
    /// A live runner of the reader's.
    pub(crate) name: String,
    pub(crate) reader_token: String,
    pub(crate) maker_token: String,
}

impl Scene {
    pub(crate) async fn start(arguments: &Arguments) -> anyhow::Result<Self> {
        let variables = [("RECONCILE_INTERVAL_SECONDS", "86400")];
        let options = SystemOptions { envoy_concurrency: WORKERS, ..options(&variables) };
        let mut system = System::start(options).await?;
        system.control_planes().first_mut().context("no control plane")?.process().stop();
        let entries = arguments.runners;
        let history = History { runners: entries, live: LIVE, owners: OWNERS, entries, unsealed: 0, others: LIVE };
        let mut connection = PgConnection::connect(system.database_url()).await?;
        history.write(&mut connection).await?;
        let issuer = system.believed().issuer.clone();
        let own = "update runners set owner_issuer = $1, provisioner_issuer = $1 where owner_issuer = $2";
        sqlx::query(own).bind(&issuer).bind(ISSUER).execute(&mut connection).await?;
        sqlx::raw_sql("vacuum analyze runners").execute(&mut connection).await?;
        records::settle(&history, &mut connection).await?;
        system.restart_control_plane(0).await?;
        let name = "select name from runners where owner_subject = $1 and state <> 'deleted' limit 1";
        let name = sqlx::query_scalar(name).bind(READER).fetch_one(&mut connection).await?;
        let token = |subject: &str| system.issuer().mint(&Mint::new(subject, AUDIENCE));
        let (reader_token, maker_token) = (token(READER)?, token(MAKER)?);
        let peer = Peer::start(&system, arguments).await.context("the service in Python")?;
        Ok(Self { system, peer, name, reader_token, maker_token })
    }

    /// Removes what was provisioned, here and on GitHub: nobody has thousands of runners that never came.
    pub(crate) async fn forget_made(&self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(self.system.database_url()).await?;
        let made = "delete from runners where owner_subject = $1 returning github_runner_id";
        let ids: Vec<Option<i64>> = sqlx::query_scalar(made).bind(MAKER).fetch_all(&mut connection).await?;
        for id in ids.into_iter().flatten() {
            self.system.github().remove_runner(u64::try_from(id)?);
        }
        sqlx::raw_sql("vacuum runners").execute(&mut connection).await?;
        Ok(())
    }
}
