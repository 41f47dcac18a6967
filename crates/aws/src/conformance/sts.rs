//! Cases of [`crate::Sts`].

use super::{Fixture, Outcome, ensure, refused};
use crate::session_policy::for_window;
use crate::sts::DURATION_MIN;
use crate::{AssumeRole, ErrorKind, SessionName, SourceIdentity};
use domain::{RoleArn, SessionScope, SignedDuration, Window};

/// How far an expiry may be from what was asked: whole seconds, and the way there and back.
const EXPIRY_TOLERANCE: SignedDuration = SignedDuration::from_secs(10);

pub(super) async fn the_caller_is_told(fixture: &dyn Fixture) -> Outcome {
    let identity = fixture.sts().caller_identity().await?;
    ensure(identity.arn.contains(identity.account.as_str()), || format!("{identity:?}"))
}

pub(super) async fn credentials_expire_as_asked(fixture: &dyn Fixture) -> Outcome {
    let role = fixture.create_role("expiring", SignedDuration::from_hours(1)).await?;
    let now = fixture.now();
    let window = Window::from_duration(now, SignedDuration::from_mins(10))?;
    let call = AssumeRole::new(role, SessionName::new("conformance")?, DURATION_MIN)?
        .with_policy(for_window(&window, &SessionScope::default())?)
        .with_source_identity(SourceIdentity::new("ada@example.com")?)
        .with_tag("daypass", "yes", true)?;
    let credentials = fixture.sts().assume_role(&call).await?;
    let life = credentials.expires_at.duration_since(now);
    ensure(life.checked_sub(DURATION_MIN).is_some_and(|off| off.abs() <= EXPIRY_TOLERANCE), || {
        format!("they live for {life}")
    })?;
    ensure(credentials.access_key_id.starts_with("ASIA"), || credentials.access_key_id.clone())?;
    ensure(!credentials.secret_access_key.expose().is_empty(), || "no secret".to_owned())?;
    ensure(!credentials.session_token.expose().is_empty(), || "no token".to_owned())
}

pub(super) async fn a_session_can_be_cut_down(fixture: &dyn Fixture) -> Outcome {
    let role = fixture.create_role("cut-down", SignedDuration::from_hours(1)).await?;
    let inline =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#;
    let scope = SessionScope {
        inline: inline.parse().ok(),
        managed: ["arn:aws:iam::aws:policy/ReadOnlyAccess".parse()?].into(),
        allow_chaining: false,
    };
    let window = Window::from_duration(fixture.now(), SignedDuration::from_mins(10))?;
    let call = AssumeRole::new(role, SessionName::new("conformance")?, DURATION_MIN)?
        .with_policy(for_window(&window, &scope)?)
        .with_managed_policies(scope.managed)?;
    let credentials = fixture.sts().assume_role(&call).await?;
    ensure(!credentials.session_token.expose().is_empty(), || "no token".to_owned())
}

pub(super) async fn a_session_longer_than_the_role_allows_is_refused(fixture: &dyn Fixture) -> Outcome {
    let role = fixture.create_role("short", SignedDuration::from_hours(1)).await?;
    let call = AssumeRole::new(role, SessionName::new("conformance")?, SignedDuration::from_secs(3601))?;
    refused(fixture.sts().assume_role(&call).await, ErrorKind::Invalid)
}

pub(super) async fn an_unknown_role_is_denied(fixture: &dyn Fixture) -> Outcome {
    let role = RoleArn::new("arn:aws:iam::000000000000:role/nobody-made-this")?;
    let call = AssumeRole::new(role, SessionName::new("conformance")?, DURATION_MIN)?;
    refused(fixture.sts().assume_role(&call).await, ErrorKind::Denied)
}
