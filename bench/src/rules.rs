//! What it costs to ask a policy: the index, and Cedar over the rules that it lets through.

use crate::Failed;
use domain::{Groups, OuId, OuPath, Person, SignedDuration, Target};
use policy::compiled::{AccountFacts, Ask, Compiled};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Asks in one measurement: about half a second.
const ASKS: u32 = 10_000;

/// The time that one ask takes under the policy of `text`, as the one rule meant for it sees it.
pub(crate) fn evaluation(text: &str) -> Result<Duration, Failed> {
    let policy = policy::Policy::from_toml(text).map_err(|problems| format!("{problems:?}"))?;
    let compiled = Compiled::new(policy)?;
    let requester = Person::new("https://idp.example", "ada")?;
    let groups = Groups::Known(["identity-store:developers".parse()?].into());
    let target = Target::parse(
        "111111111111",
        "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111",
    )?;
    let ask = Ask {
        requester: &requester,
        groups: &groups,
        target: &target,
        account: AccountFacts {
            ou_path: &OuPath(vec![OuId::new("r-dayp")?, OuId::new("ou-dayp-workloads")?]),
            tags: &BTreeMap::new(),
        },
        duration: SignedDuration::from_hours(1),
    };
    let began = Instant::now();
    for _ in 0..ASKS {
        compiled.eligible(&ask).map_err(|denied| format!("{denied:?}"))?;
    }
    Ok(began.elapsed() / ASKS)
}
