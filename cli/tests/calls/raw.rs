//! A gRPC call of any method, with bytes for messages.

use crate::callers::Kind;
use api::Method;
use prost::bytes::{Buf as _, BufMut as _};
use service_runtime::Guarded;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};

/// Calls `method` as a caller of this kind. One answer is enough, whether one or many would come; nobody waits for the second.
pub(crate) async fn call(
    guarded: &Guarded,
    method: &'static Method,
    kind: Kind,
    message: Vec<u8>,
) -> Result<Option<Vec<u8>>, Status> {
    let mut grpc = tonic::client::Grpc::new(guarded.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(message);
    if let Some(token) = kind.token() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let path = PathAndQuery::from_static(method.path);
    grpc.server_streaming(request, path, Bytes).await?.into_inner().message().await
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;
    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let bytes = from.remaining();
        Ok(Some(from.copy_to_bytes(bytes).to_vec()))
    }
}
