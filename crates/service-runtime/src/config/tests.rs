use super::*;

const GOOD: &str = r#"
[server]
listen = "127.0.0.1:0"
web = { origins = ["https://portal.example"] }
limits = { call_duration_max = "10s" }

[[issuers]]
issuer = "https://idp.example"
audiences = ["daypass"]
algorithms = ["ES256"]

[roles]
administrators = ["corp:daypass-admins"]
services = [{ issuer = "https://idp.example", client_id = "approval" }]

[log]
engine = "sqlite"
path = "/var/lib/daypass/log.db"
"#;

fn load(
    toml: &str,
    environment: &[(&str, &str)],
) -> Result<(ServerConfig, LogConfig), Vec<(String, String)>> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut loader = Loader::new(toml, environment);
    let server = loader.required::<ServerConfig>("server");
    let log = loader.required::<LogConfig>("log");
    loader.or_default::<RolesConfig>("roles");
    loader.or_default::<TelemetryConfig>("telemetry");
    loader.issuers();
    match loader.finish() {
        Ok(()) => Ok((server.unwrap(), log.unwrap())),
        Err(Problems(problems)) => {
            Err(problems.into_iter().map(|problem| (problem.field, problem.why)).collect())
        }
    }
}

fn fields(toml: &str, environment: &[(&str, &str)]) -> Vec<String> {
    load(toml, environment).unwrap_err().into_iter().map(|(field, _)| field).collect()
}

#[test]
fn a_good_file_is_read() {
    let (server, log) = load(GOOD, &[]).unwrap();
    assert_eq!(server.limits.call_duration_max, std::time::Duration::from_secs(10));
    assert_eq!(log, LogConfig::Sqlite { path: "/var/lib/daypass/log.db".into() });
}

#[test]
fn the_environment_overrides_single_fields() {
    let environment = [
        ("DAYPASS_SERVER__LISTEN", "127.0.0.1:4242"),
        ("DAYPASS_SERVER__LIMITS__BACKLOG", "7"),
        ("DAYPASS_CONFIG", "a variable of one level is not a field"),
    ];
    let (server, _) = load(GOOD, &environment).unwrap();
    assert_eq!((server.listen.port(), server.limits.backlog), (4242, 7));
}

#[test]
fn everything_wrong_is_told_at_once() {
    let bad = r#"
        [server]
        listen = "127.0.0.1:7400"
        health_listen = "0.0.0.0:7400"
        web = { origins = ["*"] }
        limits = { header_list_bytes_max = 1, backlog = 0 }
        [[issuers]]
        issuer = "https://idp.example"
        [[issuers]]
        issuer = "https://other.example"
        audiences = ["daypass"]
        algorithms = ["none"]
        [roles]
        auditors = ["no source"]
        services = [{ issuer = "https://idp.example" }]
        [log]
        engine = "postgres"
        [telemetry]
        format = "loud"
        [surprise]
        x = 1
    "#;
    assert_eq!(
        fields(bad, &[]),
        [
            "issuers[0]",
            "issuers[1].algorithms.0",
            "log.engine",
            "roles.auditors[0]",
            "roles.services[0]",
            "server.health_listen",
            "server.limits.backlog",
            "server.limits.header_list_bytes_max",
            "server.web.origins[0]",
            "surprise",
            "telemetry.format",
        ]
        .map(str::to_owned)
    );
}

#[test]
fn what_must_be_there_and_is_not_is_named() {
    assert_eq!(fields("", &[]), ["issuers", "log", "server"].map(str::to_owned));
    assert_eq!(
        fields(&GOOD.replace("listen =", "lisen ="), &[]).first().map(String::as_str),
        Some("server.lisen")
    );
    assert_eq!(fields("not toml", &[]).len(), 4);
}

#[test]
fn a_problem_never_repeats_a_value() {
    let told = load(&GOOD.replace("\"127.0.0.1:0\"", "\"hunter2\""), &[]).unwrap_err();
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    let told = load(&GOOD.replace("backlog", "x").replace("\"10s\"", "\"hunter2\""), &[]).unwrap_err();
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
}

#[test]
fn secrets_come_from_files_and_the_environment_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "hunter2\n").unwrap();
    let mut loader = Loader::new("", [("CLIENT_SECRET".to_owned(), "hunter3".to_owned())]);
    let secret = loader.secret("x", &SecretRef::File(file)).unwrap();
    assert_eq!(secret.expose(), "hunter2");
    assert_eq!(format!("{secret:?}"), "Secret(…)");
    assert_eq!(loader.secret("x", &SecretRef::Env("CLIENT_SECRET".to_owned())).unwrap().expose(), "hunter3");
    assert!(loader.secret("y", &SecretRef::Env("NOT_THERE".to_owned())).is_none());
    assert!(
        toml::from_str::<ClientCredentials>("token_url = 'https://x'\nclient_id = 'c'\nclient_secret = 's'")
            .is_err()
    );
}
