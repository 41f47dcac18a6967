//! The organisation of the end-to-end tests is what Daypass reads, and what the AWS CLI sees.

use aws::{DirectorySource, Secret};
use aws_sdk::{AwsConfig, StaticCredentials, connect};
use domain::ports::Clock;
use domain::{AccountId, PermissionSetArn, PrincipalId, SignedDuration, Timestamp};
use std::sync::Arc;
use test_servers::aws_cli::AwsCli;
use test_servers::moto::Moto;
use test_servers::organisation::{Organisation, REGION};

struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the port's implementation")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[tokio::test]
async fn the_directory_reads_what_was_made() {
    let moto = Moto::start().await.unwrap();
    let made = Organisation::fill(moto.endpoint()).await.unwrap();
    let config = AwsConfig {
        endpoint_url: Some(moto.endpoint().parse().unwrap()),
        credentials: Some(StaticCredentials {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: Secret::new("example"),
        }),
        instance_arn: Some(made.instance_arn.clone()),
        identity_store_id: Some(made.identity_store_id.clone()),
        directory_calls_per_second: 1_000,
        permission_set_calls_per_second: 1_000,
        ..AwsConfig::new(REGION)
    };
    let seen = connect(config, Arc::new(WallClock)).await.unwrap().directory.fetch().await.unwrap();

    let payments = seen.accounts.get(&AccountId::new(&made.accounts.payments_prod).unwrap()).unwrap();
    assert_eq!(payments.name, "payments-prod");
    let path: Vec<_> = payments.ou_path.0.iter().map(domain::OuId::as_str).collect();
    assert_eq!(path, [&made.units.root, &made.units.workloads, &made.units.prod, &made.units.payments]);
    assert_eq!(payments.tags.get("team").map(String::as_str), Some("payments"));
    assert!(seen.accounts.get(&AccountId::new(&made.management_account).unwrap()).unwrap().management);
    assert_eq!(seen.accounts.len(), 5);

    let administrator = PermissionSetArn::new(&made.permission_sets.administrator).unwrap();
    assert_eq!(
        seen.permission_sets.get(&administrator).unwrap().session_duration,
        SignedDuration::from_hours(2)
    );
    let dave = PrincipalId::new(&made.users["dave"]).unwrap();
    let groups: Vec<_> = seen.memberships.get(&dave).unwrap().iter().map(aws::GroupId::as_str).collect();
    assert_eq!(groups.len(), 2);
    assert!(
        groups.contains(&made.groups.admins.as_str()) && groups.contains(&made.groups.approvers.as_str())
    );
}

#[tokio::test]
async fn the_aws_cli_sees_assignments_and_uses_credential_processes() {
    let moto = Moto::start().await.unwrap();
    let made = Organisation::fill(moto.endpoint()).await.unwrap();
    let cli = AwsCli::new(moto.endpoint()).unwrap();

    let (account, set) = (&made.accounts.shop_dev, &made.permission_sets.read_only);
    assert!(cli.assigned_users(&made.instance_arn, account, set).await.unwrap().is_empty());
    cli.assign(&made.instance_arn, account, set, &made.users["ada"]).await.unwrap();
    assert_eq!(
        cli.assigned_users(&made.instance_arn, account, set).await.unwrap(),
        [made.users["ada"].clone()]
    );

    let args = ["sts", "assume-role", "--role-arn", &made.deployer_role, "--role-session-name", "ada-1"];
    let assumed = cli.run("operator", &args).await.unwrap();
    let credentials = serde_json::json!({
        "Version": 1,
        "AccessKeyId": assumed["Credentials"]["AccessKeyId"],
        "SecretAccessKey": assumed["Credentials"]["SecretAccessKey"],
        "SessionToken": assumed["Credentials"]["SessionToken"],
        "Expiration": assumed["Credentials"]["Expiration"],
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    std::fs::write(&file, credentials.to_string()).unwrap();
    cli.add_credential_process("lent", &format!("cat {}", file.display())).unwrap();
    let caller = cli.caller_identity("lent").await.unwrap();
    assert_eq!(caller.account, made.accounts.payments_prod);
    let expected = format!("arn:aws:sts::{}:assumed-role/Deployer/ada-1", made.accounts.payments_prod);
    assert_eq!(caller.arn, expected);
    cli.add_credential_process("refused", "false").unwrap();
    assert!(cli.caller_identity("refused").await.is_err());
}
