//! What nodes must be like, so that an acknowledged event stays.
//!
//! INVARIANT: looks, and refuses; never changes what is there.

use crate::config::KurrentDbConfig;
use event_log::LogError;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// How long a node may take to say how it is set up.
const OPTIONS_WITHIN: Duration = Duration::from_secs(5);

/// Options that let a node forget what it acknowledged, where they are on (as the server names them at `/info/options`).
const FORGETFUL: [&str; 2] = ["UnsafeDisableFlushToDisk", "MemDb"];

/// One setting of a node.
#[derive(Deserialize)]
struct Setting {
    #[serde(alias = "Name")]
    name: String,
    #[serde(alias = "Value")]
    value: Option<Value>,
}

/// What was seen of the nodes.
#[derive(Debug, Default)]
struct Looked {
    /// So many are known.
    nodes: usize,
    /// So many say that they flush to disk.
    safe: usize,
    /// Why one that answers does not say so.
    untold: Option<String>,
    /// Why one does not answer.
    unreached: Option<String>,
}

/// Looks at every node that is known. One that could forget what it acknowledged is refused, whatever the operator asserts.
async fn look(config: &KurrentDbConfig) -> Result<Looked, LogError> {
    let mut looked = Looked { nodes: config.node_urls.len(), ..Looked::default() };
    for url in &config.node_urls {
        match ask(url, config).await {
            Answer::Told(settings) => match untold(&settings)? {
                None => looked.safe += 1,
                Some(why) => looked.untold = Some(why),
            },
            Answer::Untold(why) => looked.untold = Some(why),
            Answer::Silent(why) => looked.unreached = Some(why),
        }
    }
    Ok(looked)
}

impl Looked {
    /// Whether enough was seen. What is acknowledged is on most nodes, so most of them have to be safe; a node that is down
    /// acknowledges nothing, and is looked at again when it is back: [`crate::KurrentDbLog::watch`].
    fn enough(&self) -> Result<(), LogError> {
        let Self { nodes, safe, untold, unreached } = self;
        let lacking = format!("nodes must flush to disk: that was seen on {safe} of {nodes}");
        if let Some(why) = untold {
            return Err(LogError::Unsafe(format!(
                "{lacking} (node_urls), so the operator has to assert it: {why}"
            )));
        }
        match unreached {
            _ if safe.saturating_mul(2) > *nodes => Ok(()),
            Some(why) => Err(LogError::Unavailable(format!("{lacking}; {why}"))),
            None => Err(LogError::Unsafe(format!("{lacking} (node_urls), so the operator has to assert it"))),
        }
    }
}

/// Refuses nodes of which too little was seen, unless the operator has asserted the rest.
pub(crate) async fn look_at_nodes(config: &KurrentDbConfig) -> Result<(), LogError> {
    let looked = look(config).await?;
    match looked.enough() {
        Ok(()) => {}
        Err(why) if config.operator_asserts_flush_to_disk => {
            tracing::warn!(%why, "that nodes flush to disk was not seen everywhere, only asserted by the operator");
        }
        Err(error) => return Err(error),
    }
    if let Some(why) = looked.unreached {
        tracing::warn!(%why, "a node of the log cannot be reached, and was not looked at");
    }
    Ok(())
}

/// Looks again at nodes whose log is in use. What is not seen any more is not seen to be wrong: it is not seen.
pub(crate) async fn look_again(config: &KurrentDbConfig) -> Result<(), LogError> {
    let looked = look(config).await?;
    if config.operator_asserts_flush_to_disk {
        return Ok(());
    }
    let enough = looked.enough().map_err(|error| match error {
        LogError::Unsafe(why) => LogError::Unavailable(why),
        error @ (LogError::Unavailable(_) | LogError::Corrupt(_)) => error,
    });
    if let Some(why) = looked.unreached {
        tracing::warn!(%why, "a node of the log cannot be reached, and was not looked at");
    }
    enough
}

/// Which option that matters a node does not tell of; none: all of them are told, and off.
fn untold(settings: &[Setting]) -> Result<Option<String>, LogError> {
    let mut untold = None;
    for forgetful in FORGETFUL {
        let plain = |name: &str| name.replace(['-', '_', ' '], "").to_ascii_lowercase();
        let setting = settings.iter().find(|setting| plain(&setting.name) == plain(forgetful));
        let value = setting.and_then(|setting| match setting.value.as_ref()? {
            Value::Bool(on) => Some(*on),
            Value::String(text) => text.to_ascii_lowercase().parse().ok(),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        });
        match value {
            Some(true) => return Err(LogError::Unsafe(format!("{forgetful} must be off on every node"))),
            Some(false) => {}
            None if untold.is_some() => {}
            None => untold = Some(format!("a node does not tell whether {forgetful} is off")),
        }
    }
    Ok(untold)
}

/// What came of a question to a node.
enum Answer {
    /// Its options.
    Told(Vec<Setting>),
    /// It answers, and does not tell them: why.
    Untold(String),
    /// It does not answer, or is not ready to.
    Silent(String),
}

/// Asks a node for its options.
async fn ask(url: &str, config: &KurrentDbConfig) -> Answer {
    // An error of the HTTP client would repeat the URL, which may hold a password.
    let told = |error: reqwest::Error| format!("options of KurrentDB: {}", error.without_url());
    let answer = match send(url, config).await {
        Ok(answer) => answer,
        Err(error) => return Answer::Silent(told(error)),
    };
    let status = answer.status();
    if status.is_server_error() {
        return Answer::Silent(format!("options of KurrentDB: a node answers with {status}"));
    }
    if !status.is_success() {
        return Answer::Untold(format!("a node does not tell its options: it answers with {status}"));
    }
    match answer.bytes().await.map(|body| serde_json::from_slice(&body)) {
        Ok(Ok(settings)) => Answer::Told(settings),
        // Nothing of the answer is repeated: options are the operator's.
        Ok(Err(_)) => Answer::Untold("a node does not tell its options: its answer has another shape".into()),
        Err(error) => Answer::Silent(told(error)),
    }
}

async fn send(url: &str, config: &KurrentDbConfig) -> Result<reqwest::Response, reqwest::Error> {
    let mut client = reqwest::Client::builder().timeout(OPTIONS_WITHIN);
    if url.starts_with("http://") {
        // No certificate is looked at, and a machine may have none.
        client = client.tls_certs_only([]);
    }
    let mut request = client.build()?.get(format!("{}/info/options", url.trim_end_matches('/')));
    if let Some(user) = &config.user {
        request = request.basic_auth(&user.name, Some(&user.password));
    }
    request.send().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Result<Option<String>, LogError> {
        untold(&serde_json::from_str::<Vec<Setting>>(json).unwrap())
    }

    #[test]
    fn a_node_that_does_not_flush_or_keeps_all_in_memory_is_refused() {
        let safe =
            r#"[{"name":"MemDb","value":"False"},{"name":"UnsafeDisableFlushToDisk","value":"False"}]"#;
        assert_eq!(told(safe), Ok(None));
        for wrong in [
            r#"[{"name":"MemDb","value":"False"},{"name":"UnsafeDisableFlushToDisk","value":"True"}]"#,
            r#"[{"name":"mem-db","value":true},{"name":"UnsafeDisableFlushToDisk","value":"False"}]"#,
        ] {
            assert!(matches!(told(wrong), Err(LogError::Unsafe(_))), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_told_is_not_seen() {
        for silent in ["[]", r#"[{"name":"MemDb","value":"False"}]"#, r#"[{"name":"MemDb","value":null}]"#] {
            let why = told(silent).unwrap().unwrap();
            assert!(why.contains("UnsafeDisableFlushToDisk"), "{silent}: {why}");
        }
    }

    #[test]
    fn most_nodes_have_to_be_seen_safe_and_each_that_answers_has_to_tell() {
        let looked = |nodes, safe, untold: bool, unreached: bool| {
            let why = |so: bool| so.then(|| "why".to_owned());
            Looked { nodes, safe, untold: why(untold), unreached: why(unreached) }.enough()
        };
        for (nodes, safe) in [(1, 1), (3, 3), (3, 2), (5, 3)] {
            assert_eq!(looked(nodes, safe, false, safe < nodes), Ok(()), "{safe} of {nodes}");
        }
        for (nodes, safe) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)] {
            assert!(
                matches!(looked(nodes, safe, false, true), Err(LogError::Unavailable(_))),
                "{safe} of {nodes}"
            );
        }
        assert!(matches!(looked(3, 2, true, false), Err(LogError::Unsafe(_))), "one does not tell");
        assert!(matches!(looked(0, 0, false, false), Err(LogError::Unsafe(_))), "none is known");
    }
}
