//! Every field of every message that a caller can send, given values that its declared constraints forbid.

use crate::callers::Kind;
use crate::house::House;
use crate::raw;
use api::METHODS;
use api::testing::wrong_values;
use tonic::Code;
use tonic_types::StatusExt as _;

/// Fewer would mean that the generator looks away.
const WRONG_VALUES_MIN: usize = 300;

#[tokio::test(start_paused = true)]
async fn every_wrong_value_is_refused_and_its_field_is_named() {
    let house = House::new().await;
    let (mut tried, mut wrong) = (0, Vec::new());
    for method in METHODS {
        let entitled = Kind::KNOWN.into_iter().find(|kind| kind.may_call(method)).unwrap();
        for value in wrong_values(method).unwrap() {
            tried += 1;
            let answer = raw::call(&house.guarded, method, entitled, value.message).await;
            let named = answer.as_ref().is_err_and(|status| {
                let details = status.get_details_bad_request();
                let mut fields = details.iter().flat_map(|details| &details.field_violations);
                status.code() == Code::InvalidArgument
                    && fields.any(|violation| violation.field == value.field)
            });
            if !named {
                wrong.push(format!("{}: {} ({}): {answer:?}", method.path, value.field, value.wrong));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried >= WRONG_VALUES_MIN, "{tried}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_at_all_is_refused() {
    let house = House::new().await;
    for method in METHODS {
        let entitled = Kind::KNOWN.into_iter().find(|kind| kind.may_call(method)).unwrap();
        // A field with a length beyond the end.
        let answer = raw::call(&house.guarded, method, entitled, vec![0x0a, 0x7f, 0x00]).await;
        let code = answer.unwrap_err().code();
        assert!(matches!(code, Code::InvalidArgument | Code::Internal), "{}: {code:?}", method.path);
    }
}
