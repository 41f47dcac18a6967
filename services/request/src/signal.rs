//! Signals from outside: declared, and not served yet. Every method answers `UNIMPLEMENTED`.

use api::request::v1::signal_service_server;

/// `SignalService`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalService;

impl signal_service_server::SignalService for SignalService {}
