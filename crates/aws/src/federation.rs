//! The AWS console for a role session: a sign-in token for its credentials, and the link that is made of it.
//!
//! A console session ends with the credentials behind it, because it is asked for without a `SessionDuration`. With one it could
//! outlive them, and for chained credentials AWS refuses it (IAM User Guide, "Enable custom identity broker access to the AWS
//! console"). The session policy binds it to the window as it binds the credentials.
//!
//! INVARIANT: a link leads to the console of AWS and nowhere else: its destination is a [`ConsoleUrl`].

use crate::{AwsError, Secret, SessionCredentials};
use domain::{Invalid, Partition, SignedDuration};
use url::Url;

/// For how long a sign-in link works.
pub const LINK_LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// The region whose federation endpoint has no region in its name (AWS General Reference, "AWS Sign-In endpoints").
const UNNAMED_REGION: &str = "us-east-1";

/// A page of the AWS console.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsoleUrl(Url);

impl ConsoleUrl {
    /// The console's first page.
    pub fn home(partition: Partition) -> Result<Self, Invalid> {
        Self::new(partition, &format!("https://{}/", host(partition)))
    }

    /// A page of the console of `partition`, which is under its name or a name below it: a region's, a service's.
    pub fn new(partition: Partition, text: &str) -> Result<Self, Invalid> {
        const WHY: &str = "must be an https URL of the AWS console of the organisation's partition";
        let invalid = Invalid::new("console URL", WHY);
        let url = Url::parse(text).map_err(|_| invalid.clone())?;
        let console = host(partition);
        let within = url.host_str().is_some_and(|host| {
            host == console || host.strip_suffix(console).is_some_and(|below| below.ends_with('.'))
        });
        let plain = url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if within && plain { Ok(Self(url)) } else { Err(invalid) }
    }

    /// The URL, as a browser writes it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The name of a partition's console.
const fn host(partition: Partition) -> &'static str {
    match partition {
        Partition::Aws => "console.aws.amazon.com",
        Partition::AwsCn => "console.amazonaws.cn",
        Partition::AwsUsGov => "console.amazonaws-us-gov.com",
    }
}

/// Where sign-in tokens are had, and where links lead.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FederationEndpoint {
    url: Url,
    partition: Partition,
}

impl FederationEndpoint {
    /// AWS's own, of a region.
    pub fn of_region(region: &str, partition: Partition) -> Result<Self, Invalid> {
        let host = match partition {
            Partition::Aws if region == UNNAMED_REGION => "signin.aws.amazon.com".to_owned(),
            Partition::Aws => format!("{region}.signin.aws.amazon.com"),
            Partition::AwsCn => "signin.amazonaws.cn".to_owned(),
            Partition::AwsUsGov => "signin.amazonaws-us-gov.com".to_owned(),
        };
        let url = Url::parse(&format!("https://{host}/federation"))
            .map_err(|_| Invalid::new("region", "must be the name of a region"))?;
        Ok(Self::at(url, partition))
    }

    /// Another one: an emulator, a simulation.
    pub fn at(url: Url, partition: Partition) -> Self {
        Self { url, partition }
    }

    /// Where tokens are asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whose console it leads to.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The link that signs its holder in, and shows them `destination`. `issuer` is where AWS sends them when the session is over.
    pub fn sign_in_link(&self, token: &Secret, destination: &ConsoleUrl, issuer: Option<&Url>) -> Secret {
        let mut link = self.url.clone();
        link.query_pairs_mut()
            .clear()
            .append_pair("Action", "login")
            .extend_pairs(issuer.map(|issuer| ("Issuer", issuer.as_str())))
            .append_pair("Destination", destination.as_str())
            .append_pair("SigninToken", token.expose());
        Secret::new(String::from(link))
    }
}

/// AWS Sign-In, as far as it federates.
#[async_trait::async_trait]
pub trait Federation: Send + Sync + 'static {
    /// Where it is.
    fn endpoint(&self) -> FederationEndpoint;

    /// A token that signs the holder of `credentials` in to the console, for [`LINK_LIFETIME`]. Changes nothing: a token that
    /// nobody heard of cannot be used.
    async fn sign_in_token(&self, credentials: &SessionCredentials) -> Result<Secret, AwsError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_page_of_the_console_and_nothing_else() {
        for (partition, good) in [
            (Partition::Aws, "https://console.aws.amazon.com/"),
            (
                Partition::Aws,
                "https://eu-central-1.console.aws.amazon.com/s3/buckets/a?region=eu-central-1#x",
            ),
            (Partition::Aws, "https://CONSOLE.aws.amazon.com:443/"),
            (Partition::AwsCn, "https://cn-north-1.console.amazonaws.cn/ec2/home"),
            (Partition::AwsUsGov, "https://console.amazonaws-us-gov.com/"),
        ] {
            assert!(ConsoleUrl::new(partition, good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "console.aws.amazon.com",
            "/s3",
            "http://console.aws.amazon.com/",
            "https://console.aws.amazon.com.evil.example/",
            "https://evilconsole.aws.amazon.com/",
            "https://console.aws.amazon.com@evil.example/",
            "https://ada@console.aws.amazon.com/",
            "https://evil.example/console.aws.amazon.com",
            "https://evil.example\\.console.aws.amazon.com/",
            "https://console.aws.amazon.com:8443/",
            "https://console.amazonaws.cn/",
            "https://aws.amazon.com/",
            "javascript:alert(1)//console.aws.amazon.com/",
        ] {
            assert!(ConsoleUrl::new(Partition::Aws, bad).is_err(), "{bad}");
        }
        for partition in [Partition::Aws, Partition::AwsCn, Partition::AwsUsGov] {
            assert!(ConsoleUrl::home(partition).is_ok());
        }
    }

    #[test]
    fn every_partition_has_its_own_endpoint() {
        for (region, partition, url) in [
            ("us-east-1", Partition::Aws, "https://signin.aws.amazon.com/federation"),
            ("eu-central-1", Partition::Aws, "https://eu-central-1.signin.aws.amazon.com/federation"),
            ("cn-north-1", Partition::AwsCn, "https://signin.amazonaws.cn/federation"),
            ("us-gov-west-1", Partition::AwsUsGov, "https://signin.amazonaws-us-gov.com/federation"),
        ] {
            let endpoint = FederationEndpoint::of_region(region, partition).unwrap();
            assert_eq!(endpoint.url().as_str(), url);
            assert_eq!(endpoint.partition(), partition);
        }
    }

    #[test]
    fn a_link_carries_everything_encoded() {
        let endpoint = FederationEndpoint::of_region("us-east-1", Partition::Aws).unwrap();
        let destination =
            ConsoleUrl::new(Partition::Aws, "https://console.aws.amazon.com/s3?a=b&c=d").unwrap();
        let link = endpoint.sign_in_link(&Secret::new("t&k=+"), &destination, None);
        assert_eq!(
            link.expose(),
            "https://signin.aws.amazon.com/federation?Action=login&Destination=https%3A%2F%2Fconsole.aws.amazon.com%2Fs3%3F\
             a%3Db%26c%3Dd&SigninToken=t%26k%3D%2B"
        );
        let issuer = Url::parse("https://daypass.example/").unwrap();
        let link = endpoint.sign_in_link(&Secret::new("t"), &destination, Some(&issuer));
        assert!(link.expose().contains("&Issuer=https%3A%2F%2Fdaypass.example%2F&Destination="));
    }
}
