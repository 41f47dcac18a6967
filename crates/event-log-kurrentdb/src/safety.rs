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

/// Looks at every node that is known; what was not seen, the operator has to assert.
pub(crate) async fn look_at_nodes(config: &KurrentDbConfig) -> Result<(), LogError> {
    let mut unseen = config.node_urls.is_empty();
    for url in &config.node_urls {
        match settings(url, config).await {
            Ok(settings) => unseen |= !look_at(&settings)?,
            Err(error) if config.operator_asserts_flush_to_disk => {
                tracing::warn!(%error, "a node was not asked whether it flushes to disk");
                unseen = true;
            }
            Err(error) => return Err(error),
        }
    }
    if !unseen {
        return Ok(());
    }
    if !config.operator_asserts_flush_to_disk {
        return Err(LogError::Unsafe(
            "nodes must flush to disk: that was not seen on every one (node_urls, or the word of the operator)"
                .into(),
        ));
    }
    tracing::warn!("that nodes flush to disk was not seen everywhere, only asserted by the operator");
    Ok(())
}

/// Whether all of a node's options that matter were seen, and are off.
fn look_at(settings: &[Setting]) -> Result<bool, LogError> {
    let mut seen = true;
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
            None => seen = false,
        }
    }
    Ok(seen)
}

/// A node's options. Those of a node that does not tell them are none.
async fn settings(url: &str, config: &KurrentDbConfig) -> Result<Vec<Setting>, LogError> {
    // An error of the HTTP client would repeat the URL, which may hold a password.
    let failed = |error: reqwest::Error| {
        LogError::Unavailable(format!("options of KurrentDB: {}", error.without_url()))
    };
    let mut client = reqwest::Client::builder().timeout(OPTIONS_WITHIN);
    if url.starts_with("http://") {
        // No certificate is looked at, and a machine may have none.
        client = client.tls_certs_only([]);
    }
    let client = client.build().map_err(failed)?;
    let mut request = client.get(format!("{}/info/options", url.trim_end_matches('/')));
    if let Some(user) = &config.user {
        request = request.basic_auth(&user.name, Some(&user.password));
    }
    let answer = request.send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Ok(Vec::new());
    }
    Ok(answer.json().await.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(json: &str) -> Result<bool, LogError> {
        look_at(&serde_json::from_str::<Vec<Setting>>(json).unwrap())
    }

    #[test]
    fn a_node_that_does_not_flush_or_keeps_all_in_memory_is_refused() {
        let safe =
            r#"[{"name":"MemDb","value":"False"},{"name":"UnsafeDisableFlushToDisk","value":"False"}]"#;
        assert_eq!(looked_at(safe), Ok(true));
        for wrong in [
            r#"[{"name":"MemDb","value":"False"},{"name":"UnsafeDisableFlushToDisk","value":"True"}]"#,
            r#"[{"name":"mem-db","value":true},{"name":"UnsafeDisableFlushToDisk","value":"False"}]"#,
        ] {
            assert!(matches!(looked_at(wrong), Err(LogError::Unsafe(_))), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_told_is_not_seen() {
        for untold in ["[]", r#"[{"name":"MemDb","value":"False"}]"#, r#"[{"name":"MemDb","value":null}]"#] {
            assert_eq!(looked_at(untold), Ok(false), "{untold}");
        }
    }
}
