//! How a line of the log may look: who calls must not fill a disk with one value, or write lines of their own.

use serde_json::{Map, Value};

/// Bytes of a line, its end included. What the service says of itself is far shorter.
const MAX_LINE: usize = 8 * 1024;
/// Bytes of each text that are left in a line which is longer.
const MAX_TEXT: usize = 512;
/// What a line consists of at the least.
const LEAST: [&str; 5] = ["timestamp", "level", "target", "message", "span"];

/// A line for people that is one and fits, if this one is not or does not.
pub(super) fn pretty(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let is_one = !line.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    if is_one && line.len() < MAX_LINE {
        return None;
    }
    let mut text = String::from_utf8_lossy(line).replace('\n', "\\n").replace('\r', "\\r");
    if text.len() >= MAX_LINE {
        // Room for the remark, with the longest number.
        text = shortened(&text, MAX_LINE.saturating_sub(64));
    }
    text.push('\n');
    Some(text.into_bytes())
}

/// A line of JSON that fits, if this one does not: with shorter texts, or only with what every line has.
pub(super) fn json(line: &[u8]) -> Option<Vec<u8>> {
    if line.len() <= MAX_LINE {
        return None;
    }
    let Ok(Value::Object(mut members)) = serde_json::from_slice(line) else { return pretty(line) };
    members.values_mut().for_each(shorten);
    let whole = written(&members);
    if whole.len() <= MAX_LINE {
        return Some(whole);
    }
    members.retain(|name, _| LEAST.contains(&name.as_str()));
    members.insert("cut".to_owned(), Value::Bool(true));
    let least = written(&members);
    if least.len() <= MAX_LINE {
        return Some(least);
    }
    members.remove("span");
    Some(written(&members))
}

fn written(members: &Map<String, Value>) -> Vec<u8> {
    let mut line = serde_json::to_vec(members).unwrap_or_default();
    line.push(b'\n');
    line
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => *text = shortened(text, MAX_TEXT),
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

/// As much of it as fits, and how much is missing.
fn shortened(text: &str, length: usize) -> String {
    let (kept, cut) = text.split_at(text.floor_char_boundary(length));
    format!("{kept}… ({} bytes cut)", cut.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cut(line: &Value) -> Value {
        let line = super::json(format!("{line}\n").as_bytes()).unwrap();
        assert!(line.len() <= MAX_LINE && line.ends_with(b"}\n"), "{}", line.len());
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn a_line_that_fits_stays_as_it_is() {
        for line in ["{}\n".to_owned(), format!("{}\n", "a".repeat(MAX_LINE - 1))] {
            assert_eq!((super::json(line.as_bytes()), pretty(line.as_bytes())), (None, None));
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_cut_and_the_rest_stays() {
        let line = cut(
            &json!({"level": "INFO", "path": "ü".repeat(9000), "span": {"trace_id": "a", "all": ["b".repeat(9000)]}}),
        );
        assert_eq!((&line["level"], &line["span"]["trace_id"]), (&json!("INFO"), &json!("a")));
        let path = line["path"].as_str().unwrap();
        assert!(path.starts_with("üü") && path.ends_with("ü… (17488 bytes cut)"), "{path}");
        assert!(line["span"]["all"][0].as_str().unwrap().ends_with("(8488 bytes cut)"));
    }

    #[test]
    fn no_number_of_values_and_no_escapes_make_a_line_long() {
        let many: Map<String, Value> = (0..1000).map(|each| (format!("x{each}"), json!("y".repeat(100)))).collect();
        let line = cut(&json!({"level": "INFO", "message": "m", "span": {"trace_id": "a"}, "more": many}));
        assert_eq!(line, json!({"level": "INFO", "message": "m", "span": {"trace_id": "a"}, "cut": true}));
        let line = cut(&json!({"message": "\u{1}".repeat(9000), "span": many}));
        assert_eq!(line["cut"], json!(true));
        assert!(line["span"].is_null());
    }

    #[test]
    fn nobody_writes_lines_of_their_own() {
        let line = pretty(b"WARN refused error=no\r\nINFO issued\n").unwrap();
        assert_eq!(line, b"WARN refused error=no\\r\\nINFO issued\n");
    }

    #[test]
    fn a_line_for_people_is_cut_between_letters() {
        let line = pretty(format!("{}\n", "ü".repeat(9000)).as_bytes()).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(line.len() <= MAX_LINE && line.ends_with(" bytes cut)\n") && line.starts_with('ü'), "{line}");
    }
}
