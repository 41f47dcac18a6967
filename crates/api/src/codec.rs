//! The codec of every generated client and server: protobuf, and for requests the field constraints that it declares.
//!
//! INVARIANT: a message that reaches a service satisfies its constraints. There is no other way in: generated servers know no
//! other codec.

use crate::validate::{Validate, Violation, violations};
use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Protobuf that validates what it decodes.
#[derive(Clone, Debug)]
pub struct ValidatingCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for ValidatingCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ValidatingCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Validate + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ValidatingDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        ValidatingDecoder(ProstDecoder::default())
    }
}

/// The decoding half of [`ValidatingCodec`].
#[derive(Debug)]
pub struct ValidatingDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + Validate> Decoder for ValidatingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let decoded = self.0.decode(buffer).map_err(|error| {
            // A fault of whoever sent it: the caller's for a request (tonic would say INTERNAL), the server's for an answer.
            if U::IS_REQUEST { Status::invalid_argument("the message is not valid protobuf") } else { error }
        })?;
        match decoded {
            Some(message) => match refusal(violations(&message)) {
                Some(status) => Err(status),
                None => Ok(Some(message)),
            },
            None => Ok(None),
        }
    }
}

/// `INVALID_ARGUMENT` with a `google.rpc.BadRequest` that names every violation; `None` when there is none.
pub fn refusal(violations: Vec<Violation>) -> Option<Status> {
    let first = violations.first()?;
    let message = match violations.len() {
        1 => format!("{}: {}", first.field, first.description),
        count => format!("{}: {} (and {} more)", first.field, first.description, count - 1),
    };
    let fields = violations
        .into_iter()
        .map(|violation| FieldViolation::new(violation.field, violation.description))
        .collect::<Vec<_>>();
    Some(Status::with_error_details(
        tonic::Code::InvalidArgument,
        message,
        ErrorDetails::with_bad_request(fields),
    ))
}
