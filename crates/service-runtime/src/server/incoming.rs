//! Connections, at most so many at a time: more wait in the backlog of the socket, where they cost us nothing. With TLS, one that
//! agrees on keys slowly keeps no other waiting.

use crate::tls::Peer;
use crate::tls::server::Acceptor;
use futures::{Stream, StreamExt as _};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::Connected;

/// After a failed accept (out of file handles, say) nothing is accepted for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections that come to `listener`, `connections_max` at a time; without `tls` in plain text.
pub(super) fn incoming(
    listener: TcpListener,
    connections_max: usize,
    tls: Option<Arc<Acceptor>>,
) -> impl Stream<Item = Result<Connection, io::Error>> {
    let places_max = connections_max.clamp(1, Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(places_max));
    let accepted = futures::stream::unfold((listener, places), |(listener, places)| async {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some(((stream, place), (listener, places))),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    let agreed = accepted.map(move |(stream, place)| connected(stream, place, tls.clone()));
    agreed.buffer_unordered(places_max).filter_map(|connection| std::future::ready(connection.map(Ok)))
}

/// `None`: no keys were agreed on.
async fn connected(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    tls: Option<Arc<Acceptor>>,
) -> Option<Connection> {
    // Failing, it only makes answers slower.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return Some(Connection { stream: Either::Left(stream), peer: None, _place: place });
    };
    match tls.accept(stream).await {
        Ok((stream, peer)) => {
            Some(Connection { stream: Either::Right(Box::new(stream)), peer, _place: place })
        }
        Err(error) => {
            tracing::debug!(%error, "no keys were agreed on");
            None
        }
    }
}

/// A connection, and the place that it takes.
pub(super) struct Connection {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    peer: Option<Peer>,
    _place: OwnedSemaphorePermit,
}

/// Who is at the other end of the connection that a call came by, if it showed that. Among the extensions of every call; put there
/// by the server, because extensions do not travel.
#[derive(Clone)]
pub(crate) struct OtherEnd(pub(crate) Option<Peer>);

impl Connected for Connection {
    type ConnectInfo = OtherEnd;
    fn connect_info(&self) -> OtherEnd {
        OtherEnd(self.peer.clone())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
