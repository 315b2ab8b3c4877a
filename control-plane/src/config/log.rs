//! What is logged, and in which form.

use tracing_subscriber::filter::Directive;

use super::reader::Reader;

/// The only crate whose finer levels are ours to answer for. At theirs, some libraries write headers into the log, and
/// with them credentials.
const OURS: &str = "control_plane";
/// Libraries speak up at `warn` only, unless told otherwise. octocrab's errors are logged by us, with their meaning.
const LIBRARIES: [&str; 2] = ["warn", "octocrab=off"];

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people at a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Lines for people.
    Pretty,
    /// A JSON object a line.
    Json,
}

/// What is logged, and in which form.
#[derive(Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `LOG_LEVEL`, as directives of tracing-subscriber's `EnvFilter`.
    pub directives: Vec<String>,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { directives: with_libraries(vec![format!("{OURS}=info")]), format: LogFormat::Auto }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<LogConfig> {
    let (level, format) = (reader.or_preset("LOG_LEVEL"), reader.or_preset("LOG_FORMAT"));
    let mut directives = Vec::new();
    for part in level?.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match directive(part) {
            Ok(read) => directives.push(read),
            Err((what, remedy)) => reader.problem("LOG_LEVEL", &what, &remedy),
        }
    }
    let format = match format?.to_ascii_lowercase().as_str() {
        "auto" => LogFormat::Auto,
        "pretty" => LogFormat::Pretty,
        "json" => LogFormat::Json,
        other => {
            reader.problem("LOG_FORMAT", &format!("is {other:?}"), "set it to auto, pretty or json");
            return None;
        }
    };
    Some(LogConfig { directives: with_libraries(directives), format })
}

/// What is said later about the same counts.
fn with_libraries(directives: Vec<String>) -> Vec<String> {
    LIBRARIES.iter().map(|&each| each.to_owned()).chain(directives).collect()
}

/// A level alone is that of this service; `MODULE=LEVEL` and `MODULE[SPAN{FIELD=VALUE}]=LEVEL` are those of a part of it.
fn directive(part: &str) -> Result<String, (String, String)> {
    if let Some(level) = level(part) {
        return Ok(format!("{OURS}={level}"));
    }
    let (selector, name) = match part.rsplit_once(']') {
        Some((selector, rest)) => (format!("{selector}]"), rest.strip_prefix('=')),
        None => match part.split_once('=') {
            Some((selector, name)) => (selector.to_owned(), Some(name)),
            None => (part.to_owned(), None),
        },
    };
    let Some(level) = name.and_then(level) else {
        let levels =
            "set it to trace, debug, info, warn, error or off, or to MODULE=LEVEL, several with commas between";
        return Err((format!("has {part:?}, which has no level that there is"), levels.to_owned()));
    };
    let target = selector.split('[').next().unwrap_or_default();
    let ours = target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if !ours && (matches!(level, "trace" | "debug") || selector.contains('[') || target.starts_with("octocrab")) {
        let remedy = format!("give libraries info, warn, error or off, octocrab none, and {OURS}::… what you like");
        return Err((format!("has {part:?}: a library may write credentials into the log at that"), remedy));
    }
    let read = format!("{selector}={level}");
    match read.parse::<Directive>() {
        Ok(_) => Ok(read),
        Err(error) => {
            let remedy = format!("write it like {OURS}::github=debug or {OURS}[request{{request_id=ID}}]=trace");
            Err((format!("has {part:?}, which can't be read: {error}"), remedy))
        }
    }
}

/// A level by its name, also by those of Python, in which the original service was configured.
fn level(name: &str) -> Option<&'static str> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" | "warning" => "warn",
        "error" | "critical" => "error",
        "off" => "off",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::log;
    use super::*;

    fn read(level: &str) -> Result<Vec<String>, String> {
        let read = log(&|name| (name == "LOG_LEVEL").then(|| level.to_owned()));
        read.map(|config| config.directives.into_iter().skip(LIBRARIES.len()).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_level_by_either_name_is_that_of_the_service_alone() {
        for (name, level) in [("WARNING", "warn"), ("", "info"), ("critical", "error"), ("off", "off")] {
            assert_eq!(read(name).unwrap(), [format!("control_plane={level}")], "{name}");
        }
        assert_eq!(log(&|_| None), Ok(LogConfig::default()));
    }

    #[test]
    fn parts_of_the_service_have_levels_of_their_own_and_libraries_none_at_which_they_talk() {
        let level = "warn, control_plane::github=DEBUG,sqlx=info,control_plane[request{request_id=a-1}]=trace";
        let expected = [
            "control_plane=warn",
            "control_plane::github=debug",
            "sqlx=info",
            "control_plane[request{request_id=a-1}]=trace",
        ];
        assert_eq!(read(level).unwrap(), expected);
    }

    #[test]
    fn each_directive_that_is_none_is_named_with_its_variable() {
        for bad in [
            "loud",
            "control_plane::github",
            "control_plane=loud",
            "=debug",
            "hyper=debug",
            "h2=trace",
            "c=trace",
            "control_planes=debug",
            "[request]=trace",
            "[request]=info",
            "octocrab=error",
            "octocrab::service=info",
            "control_plane[request{]=debug",
            "control_plane[request]",
            "control_plane]=debug",
        ] {
            let error = read(&format!("info,{bad},warn")).unwrap_err();
            assert!(error.contains(&format!("\n  LOG_LEVEL has {bad:?}")) && error.contains("1 problem"), "{error}");
        }
        assert!(read("loud,hyper=debug").unwrap_err().contains("2 problem(s)"));
        let format = log(&|name| (name == "LOG_FORMAT").then(|| "xml".to_owned())).unwrap_err().to_string();
        assert!(format.contains("LOG_FORMAT is \"xml\""), "{format}");
    }
}
