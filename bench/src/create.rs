//! Durable CreateRequest through the whole stack, against what the machine can do at best.

use crate::daypass::{Daypass, channels, with};
use crate::limits::Limits;
use crate::{Failed, Measured, hammer, logs, rules, say};
use api::request::v1::CreateRequestRequest;
use api::request::v1::request_service_client::RequestServiceClient;
use api::types::v1::{Ask, AskedWindow, Target};
use std::fmt::Write as _;
use std::time::Duration;
use test_servers::nats::NatsOptions;

/// DESIGN §17: of the limit that raw unary calls and raw appends set together.
const SHARE_BUDGET: f64 = 0.6;
/// DESIGN §17: of the median of a raw call and a raw append, for one caller.
const MEDIAN_BUDGET: f64 = 4.0;
/// Of the sample organisation.
const ACCOUNT: &str = "111111111111";
const PERMISSION_SET: &str = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";

pub(crate) async fn run(callers: usize, rules: usize, within: Duration, nats: bool) -> Result<(), Failed> {
    let engine = logs::engine(nats);
    say(&format!(
        "durable CreateRequest on {engine}, {rules} rules, {within:?} per part, load generator included"
    ));
    let limits = Limits::measure(callers, within, nats).await?;
    let server = logs::nats_server(nats, NatsOptions::default()).await?;
    // One person asks for everything, and nobody decides.
    let unbounded = ["--pending-max".to_owned(), usize::MAX.to_string()];
    let more: Vec<String> = server.iter().flat_map(logs::nats_arguments).chain(unbounded).collect();
    let daypass = Daypass::start(Some(&policy(rules)), &more).await?;
    // The first calls read keys, compile the policy and open connections.
    create(&daypass, callers, Duration::from_secs(1), "warm").await?;
    let before = daypass.processor_time()?;
    let many = create(&daypass, callers, within, "many").await?;
    let used = daypass.processor_time()?.saturating_sub(before).as_secs_f64();
    many.say(&format!("CreateRequest, {callers} callers"));
    let one = create(&daypass, 1, within, "one").await?;
    one.say("CreateRequest, one caller");

    limits.say_share(&many, Some(SHARE_BUDGET));
    limits.say_median(&one, Some(MEDIAN_BUDGET));
    let each = used / (many.per_second * within.as_secs_f64());
    let rules = rules::evaluation(&policy(rules))?.as_secs_f64();
    say(&format!(
        "processor time of daypass for one of {callers} callers: {:.0} µs, of which rules take {:.0} µs, {:.2} of it",
        each * 1e6,
        rules * 1e6,
        rules / each
    ));
    let (now, most) = daypass.memory()?;
    say(&format!("memory of the process: {now:.0} MiB, at most {most:.0} MiB"));
    Ok(())
}

async fn create(
    daypass: &Daypass,
    callers: usize,
    within: Duration,
    series: &str,
) -> Result<Measured, Failed> {
    let channels = channels(&daypass.url, callers).await?;
    let bearer = daypass.bearer("ada")?;
    hammer(callers, within, |caller, number| {
        let channel = channels.get(caller % channels.len()).cloned();
        let (bearer, key) = (bearer.clone(), format!("{series}-{caller}-{number}"));
        async move {
            let request = with(&bearer, ask(key, ACCOUNT, PERMISSION_SET));
            RequestServiceClient::new(channel.ok_or("no channel")?).create_request(request).await?;
            Ok(())
        }
    })
    .await
}

/// A request for an hour of this.
pub(crate) fn ask(idempotency_key: String, account: &str, entitlement: &str) -> CreateRequestRequest {
    let target = Target { account_id: account.to_owned(), entitlement_arn: entitlement.to_owned() };
    let duration = prost_types::Duration { seconds: 3_600, nanos: 0 };
    CreateRequestRequest {
        idempotency_key,
        ask: Some(Ask {
            target: Some(target),
            window: Some(AskedWindow { start: None, duration: Some(duration) }),
            justification: "measuring how long this takes".to_owned(),
            ..Ask::default()
        }),
    }
}

/// A policy of `rules` rules, of which one lets Ada ask; the others are for other teams and accounts, as in a large company.
pub(crate) fn policy(rules: usize) -> String {
    let mut text = String::from(
        "[[rules]]\nid = \"measured\"\nrequesters = { groups = [\"identity-store:developers\"] }\n\
         targets = { ous = [\"ou-dayp-workloads\"], permission_sets = [\"arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111\"] }\n\
         duration_max = \"8h\"\nprovider = \"identity_center\"\n\
         plan = [{ count = 1, groups = [\"identity-store:approvers\"] }]\n",
    );
    for number in 1..rules {
        let _ = write!(
            text,
            "\n[[rules]]\nid = \"team-{number}\"\nrequesters = {{ groups = [\"identity-store:team-{number}\"] }}\n\
             targets = {{ accounts = [\"{account:012}\"], permission_sets = [\"arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111\"] }}\n\
             duration_max = \"8h\"\nprovider = \"identity_center\"\n\
             plan = [{{ count = 1, groups = [\"identity-store:team-{number}-leads\"] }}]\n",
            account = 600_000_000_000_u64 + number as u64,
        );
    }
    text
}
