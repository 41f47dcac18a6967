//! Who calls, as the gate in front of this service found out.

use identity::Caller;
use tonic::{Request, Status};

/// One call.
pub(crate) struct Call {
    /// The one verified identity of the call.
    pub(crate) caller: Caller,
    /// The W3C traceparent, for the events that the call causes.
    pub(crate) trace: Option<String>,
}

impl Call {
    /// The call that `request` is. What did not come through the gate has nobody, and is refused.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let call = service_runtime::call(request)?;
        let trace = call.trace_parent.as_ref().map(|trace| trace.as_str().to_owned());
        Ok(Self { caller: call.caller.clone(), trace })
    }
}
