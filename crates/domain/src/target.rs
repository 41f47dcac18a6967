//! What can be held, and where.

use crate::{AccountId, Invalid, Partition, invalid::text};

fn arn_fields(text: &str) -> Option<[&str; 6]> {
    let mut fields = text.splitn(6, ':');
    let arn =
        [fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    (arn[0] == "arn" && arn[1].parse::<Partition>().is_ok()).then_some(arn)
}

fn plain(text: &str, extra: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
}

text!(
    /// A permission set of IAM Identity Center: `arn:aws:sso:::permissionSet/ssoins-…/ps-…`.
    PermissionSetArn, "permission set ARN", "must look like arn:aws:sso:::permissionSet/ssoins-…/ps-…",
    |text| arn_fields(text).is_some_and(|[_, _, service, region, account, resource]| {
        let mut parts = resource.split('/');
        service == "sso" && region.is_empty() && account.is_empty() && text.len() <= 256
            && parts.next() == Some("permissionSet")
            && parts.next().is_some_and(|p| p.starts_with("ssoins-") && plain(p, b"-"))
            && parts.next().is_some_and(|p| p.starts_with("ps-") && plain(p, b"-"))
            && parts.next().is_none()
    })
);

text!(
    /// An IAM role: `arn:aws:iam::123456789012:role/path/name`.
    RoleArn, "role ARN", "must look like arn:aws:iam::123456789012:role/name",
    |text| arn_fields(text).is_some_and(|[_, _, service, region, account, resource]| {
        service == "iam" && region.is_empty() && AccountId::new(account).is_ok() && text.len() <= 2048
            && resource.strip_prefix("role/").is_some_and(|name| {
                plain(name, b"+=,.@-_/") && !name.starts_with('/') && !name.ends_with('/') && !name.contains("//")
            })
    })
);

impl RoleArn {
    /// The account that the role is in.
    pub fn account(&self) -> Option<AccountId> {
        self.as_str().split(':').nth(4).and_then(|account| AccountId::new(account).ok())
    }

    /// The partition that the role is in.
    pub fn partition(&self) -> Partition {
        // That it is one was checked when the ARN was made.
        self.as_str().split(':').nth(1).and_then(|text| text.parse().ok()).unwrap_or(Partition::Aws)
    }

    /// The role's path and name: what follows `role/`.
    pub fn path_and_name(&self) -> &str {
        self.as_str().split_once(":role/").map_or("", |(_, name)| name)
    }
}

text!(
    /// A user of IAM Identity Center, by the identity store's own id.
    PrincipalId, "principal id", "must be 1 to 47 of 0-9, a-f, A-F and '-'",
    |text| (1..=47).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
);

/// What can be held.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Entitlement {
    /// A permission set, assigned through IAM Identity Center.
    PermissionSet(PermissionSetArn),
    /// An IAM role, assumed through STS or given through Account Access Manager.
    Role(RoleArn),
}

impl From<PermissionSetArn> for Entitlement {
    fn from(arn: PermissionSetArn) -> Self {
        Self::PermissionSet(arn)
    }
}

impl From<RoleArn> for Entitlement {
    fn from(arn: RoleArn) -> Self {
        Self::Role(arn)
    }
}

impl Entitlement {
    /// Tells the two kinds of ARN apart.
    pub fn from_arn(text: &str) -> Result<Self, Invalid> {
        if let Ok(arn) = PermissionSetArn::new(text) {
            return Ok(Self::PermissionSet(arn));
        }
        RoleArn::new(text)
            .map(Self::Role)
            .map_err(|_| Invalid::new("entitlement", "must be the ARN of a permission set or of an IAM role"))
    }

    /// The ARN.
    pub fn arn(&self) -> &str {
        match self {
            Self::PermissionSet(arn) => arn.as_str(),
            Self::Role(arn) => arn.as_str(),
        }
    }
}

impl std::fmt::Display for Entitlement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.arn())
    }
}

/// One entitlement in one account. Identity by ARN and id; names are display.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Target {
    partition: Partition,
    account: AccountId,
    entitlement: Entitlement,
}

/// A target as it was written down, by whomever. Its partition is the entitlement's, whatever was written.
#[derive(serde::Deserialize)]
struct Unchecked {
    account: AccountId,
    entitlement: Entitlement,
}

impl TryFrom<Unchecked> for Target {
    type Error = Invalid;
    fn try_from(target: Unchecked) -> Result<Self, Invalid> {
        Self::new(target.account, target.entitlement)
    }
}

impl Target {
    /// A target. The partition is the entitlement's; a role must be in `account`.
    pub fn new(account: AccountId, entitlement: Entitlement) -> Result<Self, Invalid> {
        let partition = entitlement
            .arn()
            .split(':')
            .nth(1)
            .ok_or(Invalid::new("entitlement", "must be an ARN"))?
            .parse::<Partition>()?;
        if let Entitlement::Role(role) = &entitlement
            && role.account().as_ref() != Some(&account)
        {
            return Err(Invalid::new("entitlement", "must be a role of the account that is asked for"));
        }
        Ok(Self { partition, account, entitlement })
    }

    /// A target from its two texts.
    pub fn parse(account: &str, entitlement: &str) -> Result<Self, Invalid> {
        Self::new(AccountId::new(account)?, Entitlement::from_arn(entitlement)?)
    }

    /// The partition that both parts are in.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The account.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The entitlement.
    pub fn entitlement(&self) -> &Entitlement {
        &self.entitlement
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.entitlement, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_of_another_account_is_refused() {
        let error = Target::parse("111111111111", "arn:aws:iam::222222222222:role/Admin").unwrap_err();
        assert_eq!(error.what, "entitlement");
    }

    #[test]
    fn arns_of_other_things_are_refused() {
        for text in [
            "arn:aws:iam::111111111111:user/ada",
            "arn:aws:iam::11111111111:role/Admin",
            "arn:aws:iam::111111111111:role/",
            "arn:aws:iam::111111111111:role//x",
            "arn:aws:iam::111111111111:role/a b",
            "arn:aws:sso:::permissionSet/ssoins-1",
            "arn:aws:sso:::permissionSet/ssoins-1/ps-1/x",
            "arn:nowhere:iam::111111111111:role/Admin",
            "",
        ] {
            assert!(Entitlement::from_arn(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_partition_is_the_entitlements() {
        let target = Target::parse("111111111111", "arn:aws-cn:iam::111111111111:role/Admin").unwrap();
        assert_eq!(target.partition(), Partition::AwsCn);
    }
}
