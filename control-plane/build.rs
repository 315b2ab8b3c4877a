//! A new migration is compiled in, although no Rust file changed; and queries that are to be written down elsewhere
//! are compiled again.
fn main() {
    println!("cargo::rerun-if-changed=../migrations");
    println!("cargo::rerun-if-env-changed=SQLX_OFFLINE_DIR");
}
