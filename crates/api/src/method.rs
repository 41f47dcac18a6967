//! The table of methods.

use crate::Access;

/// One RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// `/daypass.request.v1.RequestService/CreateRequest`.
    pub path: &'static str,
    /// `daypass.request.v1.RequestService`.
    pub service: &'static str,
    /// `CreateRequest`.
    pub name: &'static str,
    /// Who may call it at all: any one of these suffices. Never empty.
    pub access: &'static [Access],
    /// Declared, and answered `UNIMPLEMENTED` for now.
    pub planned: bool,
    /// Whether it answers with a stream.
    pub server_streaming: bool,
    /// The full name of the message that it takes.
    pub input: &'static str,
    /// The full name of the message that it answers with.
    pub output: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The method at `path`, the path of a gRPC call.
pub fn method(path: &str) -> Option<&'static Method> {
    METHODS.binary_search_by(|method| method.path.cmp(path)).ok().and_then(|index| METHODS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_path() {
        for expected in METHODS {
            assert_eq!(method(expected.path), Some(expected));
        }
        assert_eq!(method("/daypass.request.v1.RequestService/Nothing"), None);
    }

    #[test]
    fn only_humans_decide() {
        for path in ["Approve", "Reject", "ReviewAfterTheFact"] {
            let method = method(&format!("/daypass.approval.v1.ApprovalService/{path}")).unwrap();
            assert_eq!(method.access, [Access::Human]);
        }
    }
}
