//! Which requests someone wants to see, and pages of them.

use crate::RequestService;
use crate::ask::unless_empty;
use crate::status::Refused;
use crate::viewer::Viewer;
use api::request::v1::{RequestFilter, RequestScope};
use api::types::v1::RequestStatus;
use domain::{AccountId, BatchId, Person};
use journal::Fact;
use lifecycle::RequestEvent;
use lifecycle::state::{Phase, Status as Standing};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;
use views::requests::{Cursor, Selection, StoryError};
use views::{Story, refusal, resource, wire};

/// How many requests are read from the read model at one time: a page where that is possible, and no more than the tasks beside
/// this one can wait for.
const CHUNK_MIN: usize = 50;
const CHUNK_MAX: usize = 200;

/// How many requests are looked at for one page. Where few of them are the viewer's to decide, a page is short, and the next
/// goes on from there: no call holds up the others.
const LOOKED_AT_MAX: usize = 1_000;

/// Which requests, of all that there are.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    scope: RequestScope,
    statuses: BTreeSet<Standing>,
    account: Option<AccountId>,
    requester: Option<Person>,
    batch: Option<BatchId>,
}

/// Requests, newest first, and where the next page begins.
pub(crate) struct Page {
    pub(crate) stories: Vec<Story>,
    pub(crate) next: Option<Cursor>,
}

impl Filter {
    /// Reads the field `filter`.
    pub(crate) fn read(filter: &RequestFilter) -> Result<Self, Status> {
        let person = filter.requester.as_ref().map(wire::read_person).transpose();
        let statuses = filter.statuses.iter().filter_map(|status| RequestStatus::try_from(*status).ok());
        Ok(Self {
            scope: filter.scope(),
            statuses: statuses.filter_map(resource::read_status).collect(),
            account: unless_empty(&filter.account_id).map_err(refusal::invalid("filter.account_id"))?,
            requester: person.map_err(refusal::invalid("filter.requester"))?,
            batch: unless_empty(&filter.batch_id).map_err(refusal::invalid("filter.batch_id"))?,
        })
    }

    /// Refuses what only administrators and auditors may ask for.
    pub(crate) fn check(&self, viewer: &Viewer) -> Result<(), Status> {
        match self.scope {
            RequestScope::Own | RequestScope::Decidable => Ok(()),
            RequestScope::All if viewer.who.is_administrator || viewer.who.is_auditor => Ok(()),
            RequestScope::All => Err(refusal::status(&Refused::NotForAllRequests)),
            RequestScope::Unspecified => Err(refusal::field("filter.scope", "must be set")),
        }
    }

    /// Whether a request is one of these, whatever its status; for changes, so that a watcher hears of a request that leaves the
    /// statuses that it watches.
    pub(crate) fn holds(&self, viewer: &Viewer, story: &Story) -> bool {
        let raised = &story.request.raised;
        self.account.as_ref().is_none_or(|account| raised.target.account() == account)
            && self.requester.as_ref().is_none_or(|person| raised.requester == *person)
            && self.batch.as_ref().is_none_or(|batch| raised.batch.as_ref() == Some(batch))
            && match self.scope {
                RequestScope::Own => {
                    let people = &viewer.who.acting.everyone().people;
                    people.contains(&raised.requester) || people.contains(&raised.raiser.person)
                }
                RequestScope::Decidable => viewer.is_decider(&story.request) || has_decided(viewer, story),
                RequestScope::All => viewer.who.is_administrator || viewer.who.is_auditor,
                RequestScope::Unspecified => false,
            }
    }

    /// Whether a request that was selected is to be listed: of what is to be decided, only what still can be.
    fn lists(&self, viewer: &Viewer, story: &Story) -> bool {
        match self.scope {
            RequestScope::Own | RequestScope::All => self.holds(viewer, story),
            RequestScope::Decidable => {
                has_decided(viewer, story)
                    || (story.request.phase == Phase::Pending && viewer.is_decider(&story.request))
            }
            RequestScope::Unspecified => false,
        }
    }

    /// What the read model is asked: once for every identity of the viewer, where it is about them.
    fn selections(&self, viewer: &Viewer) -> Vec<Selection> {
        let all = Selection {
            requester: self.requester.clone(),
            account: self.account.clone(),
            batch: self.batch,
            statuses: self.statuses.clone(),
            ..Selection::default()
        };
        let people = viewer.who.acting.everyone().people.into_iter();
        match self.scope {
            RequestScope::Own => {
                people.map(|person| Selection { involving: Some(person), ..all.clone() }).collect()
            }
            RequestScope::Decidable => people
                .map(|person| Selection { pending_or_decided_by: Some(person), ..all.clone() })
                .collect(),
            RequestScope::All => vec![all],
            RequestScope::Unspecified => Vec::new(),
        }
    }
}

/// Whether the viewer's word counted in some decision on the request.
fn has_decided(viewer: &Viewer, story: &Story) -> bool {
    let people = &viewer.who.acting.everyone().people;
    story.events.iter().any(|event| {
        matches!(
            &event.fact,
            Fact::Request(RequestEvent::Endorsed(_) | RequestEvent::Approved(_) | RequestEvent::Rejected(_))
        ) && event.actor.as_ref().is_some_and(|actor| people.contains(&actor.person))
    })
}

impl RequestService {
    /// A page of the requests of `filter`, raised before `before`.
    pub(crate) async fn page(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        before: Option<Cursor>,
        size: usize,
    ) -> Result<Page, Status> {
        let selections = filter.selections(viewer);
        let chunk = size.saturating_add(1).clamp(CHUNK_MIN, CHUNK_MAX);
        let (mut at, mut looked_at) = (before, 0);
        let mut stories = Vec::new();
        loop {
            let found = self.newest(&selections, at, chunk).map_err(|error| refusal::status(&error))?;
            let is_end = found.len() < chunk;
            for (cursor, story) in found {
                if stories.len() == size {
                    return Ok(Page { stories, next: at });
                }
                (at, looked_at) = (Some(cursor), looked_at + 1);
                if filter.lists(viewer, &story) {
                    stories.push(story);
                }
            }
            if is_end {
                return Ok(Page { stories, next: None });
            }
            if looked_at >= LOOKED_AT_MAX {
                return Ok(Page { stories, next: at });
            }
            tokio::task::yield_now().await;
        }
    }

    /// The newest `chunk` requests of any of `selections`, each once.
    fn newest(
        &self,
        selections: &[Selection],
        before: Option<Cursor>,
        chunk: usize,
    ) -> Result<Vec<(Cursor, Story)>, StoryError> {
        if let [only] = selections {
            return self.views.requests.newest(only, before, chunk);
        }
        let mut merged = BTreeMap::new();
        for selection in selections {
            let found = self.views.requests.newest(selection, before, chunk)?;
            merged.extend(found.into_iter().map(|(cursor, story)| (Reverse(cursor.0), story)));
        }
        Ok(merged.into_iter().take(chunk).map(|(Reverse(at), story)| (Cursor(at), story)).collect())
    }
}
