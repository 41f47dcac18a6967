//! Events of a range, straight from the log, in its order.
//!
//! INVARIANT: one event is in memory at a time; whoever reads sets the pace. Either every event of the range that matches comes
//! out, or an error does.

use crate::AuditService;
use crate::filter::Filter;
use crate::place::{Range, log_status, read_status};
use crate::read_model::events::About;
use crate::stored::Stored;
use event_log::EventStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tonic::Status;

/// After so many events that are not wanted others have their turn: a log in memory never pauses by itself.
const UNWANTED_MAX: u32 = 256;

/// What is looked up beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accounts {
    /// Each event's account is wanted.
    Wanted,
    /// Only as far as the filter asks.
    NotWanted,
}

/// Events of a range.
pub(crate) struct History {
    service: AuditService,
    source: EventStream,
    range: Range,
    filter: Filter,
    accounts: Accounts,
}

impl AuditService {
    /// The events of `range` that match `filter`.
    pub(crate) async fn history(
        &self,
        range: Range,
        filter: Filter,
        accounts: Accounts,
    ) -> Result<History, Status> {
        if accounts == Accounts::Wanted || filter.account.is_some() {
            self.reach_head().await?;
        }
        let source = match &filter.stream {
            Some(stream) => self.views.log.read_stream(stream, None),
            None if range.after == range.to => futures::stream::empty().boxed(),
            None => self.views.log.read_all(range.after),
        };
        Ok(History { service: self.clone(), source, range, filter, accounts })
    }
}

impl History {
    /// The next event, with what it is about where that is wanted; `None` when the whole range was read.
    pub(crate) async fn next(&mut self) -> Result<Option<(Stored, About)>, Status> {
        let mut unwanted = 0;
        while let Some(recorded) = self.source.try_next().await.map_err(log_status)? {
            if recorded.position > self.range.to {
                break;
            }
            if recorded.position > self.range.after {
                let stored = Stored::new(recorded);
                if self.filter.matches(&stored) {
                    let about = self.about(&stored)?;
                    if self.wants(&about) {
                        return Ok(Some((stored, about)));
                    }
                }
            }
            unwanted += 1;
            if unwanted % UNWANTED_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
        // What has ended stays so, however often it is asked.
        self.source = futures::stream::empty().boxed();
        Ok(None)
    }

    /// What an event is about, as far as that is asked.
    fn about(&self, stored: &Stored) -> Result<About, Status> {
        if self.accounts == Accounts::NotWanted && self.filter.account.is_none() {
            return Ok(About::Nothing);
        }
        self.service.events.about(stored.recorded.position).map_err(|error| read_status(&error))
    }

    /// One that the index could not take is wanted: nobody knows that it is not.
    fn wants(&self, about: &About) -> bool {
        match (&self.filter.account, about) {
            (None, _) | (Some(_), About::NotIndexed) => true,
            (Some(wanted), About::Account(account)) => wanted == account,
            (Some(_), About::Nothing) => false,
        }
    }
}
