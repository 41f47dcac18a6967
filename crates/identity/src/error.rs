//! Why a caller was not recognised.
//!
//! INVARIANT: only fixed texts and durations, nothing that came with the call.

use jiff::SignedDuration;

/// Why a bearer token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not three parts of base64url with JSON objects in the first two.
    #[error("the token is not a signed JSON web token")]
    Malformed,
    /// Longer than the issuer's limit.
    #[error("the token is too long")]
    TooLong,
    /// `iss` is missing, or not a configured issuer.
    #[error("the token's issuer is not configured")]
    UnknownIssuer,
    /// `alg` is not one that the issuer is pinned to; `none` and HMAC never are.
    #[error("the token's signature algorithm is not one of its issuer's")]
    AlgorithmRefused,
    /// The header has `crit`: extensions that must be understood, and none are.
    #[error("the token's header demands an extension")]
    CriticalHeader,
    /// The header has no `kid`.
    #[error("the token does not name its key")]
    KeyNotNamed,
    /// The issuer's keys have none of that name. With `retry_after`, they were not asked for again just now, and may be in so
    /// long: a key that was put into use this instant is told apart from a bad token by trying again.
    #[error("the token's key is not one of its issuer's")]
    UnknownKey {
        /// When the issuer will be asked again; `None` if it just was.
        retry_after: Option<SignedDuration>,
    },
    /// The issuer's keys cannot be had, or were confirmed too long ago.
    #[error("the issuer's keys are not available")]
    KeysUnavailable {
        /// When the issuer will be asked again.
        retry_after: SignedDuration,
    },
    /// The signature is not the issuer's.
    #[error("the token's signature does not hold")]
    BadSignature,
    /// An ID token, or something else that is no access token.
    #[error("the token is not an access token: {0}")]
    NotAnAccessToken(&'static str),
    /// Past `exp` and the leeway.
    #[error("the token has expired")]
    Expired,
    /// Before `nbf`.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// A claim is missing or has the wrong type or form.
    #[error("the token's claim `{0}` is missing or not well formed")]
    BadClaim(&'static str),
    /// `aud` holds none of the configured audiences.
    #[error("the token is for another audience")]
    WrongAudience,
    /// The client that the token was issued to is not an authorised party, or its names contradict each other.
    #[error("the token was issued to a client that is not authorised")]
    WrongParty,
    /// The issuer's rules tell neither a human nor a workload.
    #[error("the token is neither a human's nor a workload's")]
    KindUnknown,
}

impl AuthError {
    /// How long to wait before the same token may be accepted. `Some`: a dependency is at fault (`UNAVAILABLE`); `None`: the
    /// token is (`UNAUTHENTICATED`).
    pub fn retry_after(&self) -> Option<SignedDuration> {
        match self {
            Self::UnknownKey { retry_after } => *retry_after,
            Self::KeysUnavailable { retry_after } => Some(*retry_after),
            Self::Malformed
            | Self::TooLong
            | Self::UnknownIssuer
            | Self::AlgorithmRefused
            | Self::CriticalHeader
            | Self::KeyNotNamed
            | Self::BadSignature
            | Self::NotAnAccessToken(_)
            | Self::Expired
            | Self::NotYetValid
            | Self::IssuedInFuture
            | Self::BadClaim(_)
            | Self::WrongAudience
            | Self::WrongParty
            | Self::KindUnknown => None,
        }
    }

    /// A fixed word for metrics, logs and `ErrorInfo.reason`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "TOKEN_MALFORMED",
            Self::TooLong => "TOKEN_TOO_LONG",
            Self::UnknownIssuer => "TOKEN_ISSUER_UNKNOWN",
            Self::AlgorithmRefused => "TOKEN_ALGORITHM_REFUSED",
            Self::CriticalHeader => "TOKEN_CRITICAL_HEADER",
            Self::KeyNotNamed => "TOKEN_KEY_NOT_NAMED",
            Self::UnknownKey { .. } => "TOKEN_KEY_UNKNOWN",
            Self::KeysUnavailable { .. } => "ISSUER_KEYS_UNAVAILABLE",
            Self::BadSignature => "TOKEN_SIGNATURE_BAD",
            Self::NotAnAccessToken(_) => "TOKEN_NOT_AN_ACCESS_TOKEN",
            Self::Expired => "TOKEN_EXPIRED",
            Self::NotYetValid => "TOKEN_NOT_YET_VALID",
            Self::IssuedInFuture => "TOKEN_ISSUED_IN_FUTURE",
            Self::BadClaim(_) => "TOKEN_CLAIM_BAD",
            Self::WrongAudience => "TOKEN_AUDIENCE_WRONG",
            Self::WrongParty => "TOKEN_PARTY_WRONG",
            Self::KindUnknown => "TOKEN_KIND_UNKNOWN",
        }
    }
}
