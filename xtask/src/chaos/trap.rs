//! Puts a trap before an exported function of a wasm module.

use anyhow::{Context as _, Result};
use wasm_encoder::{BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// The module, with a trap in this export whenever this parameter is at least so much. Else it does what it did.
pub(crate) fn when_at_least(module: &[u8], export: &str, parameter: u32, bound: i32) -> Result<Vec<u8>> {
    let found = Found::in_module(module, export)?;
    let (mut written, mut code, mut left) = (Module::new(), CodeSection::new(), 0);
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::FunctionSection(section) => {
                let mut functions = FunctionSection::new();
                for kind in section {
                    functions.function(kind?);
                }
                written.section(functions.function(found.kind));
            }
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for each in section {
                    let each = each?;
                    let index = if each.name == export { found.new } else { each.index };
                    exports.export(each.name, ExportKind::from(each.kind), index);
                }
                written.section(&exports);
            }
            Payload::CodeSectionStart { count, .. } => left = count,
            Payload::CodeSectionEntry(body) => {
                code.raw(module.get(body.range()).unwrap_or_default());
                left -= 1;
                if left == 0 {
                    written.section(code.function(&found.trap(parameter, bound)));
                }
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    written.section(&RawSection { id, data: module.get(range).unwrap_or_default() });
                }
            }
        }
    }
    Ok(written.finish())
}

/// What must be known of the export before anything is written.
struct Found {
    /// The exported function.
    old: u32,
    /// The one to be exported instead.
    new: u32,
    /// Its type.
    kind: u32,
    parameters: u32,
}

impl Found {
    fn in_module(module: &[u8], export: &str) -> Result<Self> {
        let (mut imported, mut kinds, mut old, mut types) = (0_u32, Vec::new(), None, Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    for kind in section.into_iter_err_on_gc_types() {
                        types.push(u32::try_from(kind?.params().len())?);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(section) => kinds = section.into_iter().collect::<Result<_, _>>()?,
                Payload::ExportSection(section) => {
                    for each in section {
                        let each = each?;
                        let fits = each.name == export && each.kind == ExternalKind::Func;
                        old = if fits { Some(each.index) } else { old };
                    }
                }
                _ => {}
            }
        }
        let old = old.with_context(|| format!("the module does not export {export}"))?;
        let own = old.checked_sub(imported).and_then(|own| usize::try_from(own).ok());
        let kind = *own.and_then(|own| kinds.get(own)).with_context(|| format!("{export} is not the module's own"))?;
        let parameters = types.get(usize::try_from(kind)?).copied().context("a function without a type")?;
        Ok(Self { old, new: imported + u32::try_from(kinds.len())?, kind, parameters })
    }

    fn trap(&self, parameter: u32, bound: i32) -> Function {
        let mut function = Function::new([]);
        let mut body = function.instructions();
        body.local_get(parameter).i32_const(bound).i32_ge_u().if_(BlockType::Empty).unreachable().end();
        for each in 0..self.parameters {
            body.local_get(each);
        }
        body.call(self.old).end();
        function
    }
}
