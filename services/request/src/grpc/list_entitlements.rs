//! What someone may ask for, for how long, and who would have to agree.

use crate::RequestService;
use crate::ask::unless_empty;
use crate::entitlements::{Listing, Place};
use crate::status::Refused;
use api::request::v1::{ListEntitlementsRequest, ListEntitlementsResponse};
use prost::Message as _;
use tonic::{Request, Status};
use views::{page, place, refusal, wire};

pub(crate) async fn call(
    service: &RequestService,
    request: Request<ListEntitlementsRequest>,
) -> Result<ListEntitlementsResponse, Status> {
    let call = service_runtime::call(&request)?.clone();
    let message = request.into_inner();
    let account = unless_empty(&message.account_id).map_err(refusal::invalid("account_id"))?;
    let person = message.on_behalf_of.as_ref().map(wire::read_person).transpose();
    let person = person.map_err(refusal::invalid("on_behalf_of"))?;
    let asked = ListEntitlementsRequest {
        page_size: 0,
        page_token: String::new(),
        wait_for_position: String::new(),
        ..message.clone()
    }
    .encode_to_vec();
    let who_asks = call.caller.actor.person.id();
    let question: [&[u8]; 3] = [b"ListEntitlements", who_asks.as_str().as_bytes(), &asked];
    let after = page::key(&question, &message.page_token)?;
    service.views.reach(&message.wait_for_position).await?;

    let refused = |refused: Refused| refusal::status(&refused);
    let in_force = service.views.policy.current().await.map_err(|error| refusal::status(&error))?;
    let settings = in_force.compiled.settings();
    let who = service.views.who(&call.caller, settings.group_age_max)?;
    let requester = service.requester(&who, person.as_ref(), settings).map_err(refused)?;
    let now = service.views.clock.now();
    let directory = place::fresh(&service.views.directory, now, settings.directory_age_max)
        .map_err(|error| refusal::status(&error))?;
    let after = after.map(|key| Place::read(&key, &directory).ok_or(page::ForeignPage)).transpose()?;

    let listing = Listing {
        in_force: &in_force,
        directory: &directory,
        requester: &requester,
        raiser: &who.acting.everyone(),
        account: account.as_ref(),
        served: service.served,
        partition: service.views.directory.partition(),
        search: &message.search.to_lowercase(),
    };
    let size = page::size(message.page_size);
    let mut found = listing.after(after.as_ref(), size + 1).map_err(|denied| refusal::status(&denied))?;
    let is_more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| is_more).map(|(place, _)| page::token(&question, &place.key()));
    Ok(ListEntitlementsResponse {
        entitlements: found.into_iter().map(|(_, shown)| shown).collect(),
        next_page_token: next.unwrap_or_default(),
        directory_fetched_at: Some(wire::time(directory.fetched_at())),
        policy_event_id: in_force.event.to_string(),
    })
}
