//! Takes exports out of a wasm module.

use anyhow::{Result, bail};
use wasm_encoder::{ExportKind, ExportSection, Module, RawSection};
use wasmparser::{Parser, Payload};

/// The module with these exports alone. Each of them must be there, so that a renamed callback is noticed.
pub(crate) fn keep(module: &[u8], names: &[&str]) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut written = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::ExportSection(section) = &payload {
            let mut exports = ExportSection::new();
            for export in section.clone() {
                let export = export?;
                if names.contains(&export.name) {
                    exports.export(export.name, ExportKind::from(export.kind), export.index);
                    kept.push(export.name);
                }
            }
            written.section(&exports);
        } else if let Some((id, range)) = payload.as_section() {
            written.section(&RawSection { id, data: module.get(range).unwrap_or_default() });
        }
    }
    match names.iter().find(|name| !kept.contains(name)) {
        Some(missing) => bail!("the module does not export {missing}"),
        None => Ok(written.finish()),
    }
}
