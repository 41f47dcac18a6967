//! The contract of the port.

use crate::given::open;
use event_log::EventLog;
use event_log::conformance::Fixture;
use kurrentdb_double::Double;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Every log a server of its own.
struct Doubles(Mutex<Double>);

impl Doubles {
    fn start() -> Self {
        Self(Mutex::new(Double::start().unwrap()))
    }
}

#[async_trait::async_trait]
impl Fixture for Doubles {
    async fn open(&self) -> Arc<dyn EventLog> {
        *self.0.lock().await = Double::start().unwrap();
        self.reopen().await
    }

    async fn reopen(&self) -> Arc<dyn EventLog> {
        Arc::new(open(&*self.0.lock().await).await)
    }

    fn takes_several_clients(&self) -> bool {
        true
    }
}

event_log::conformance_tests!(Doubles::start());
