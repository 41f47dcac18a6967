//! What is refused, and how.

use crate::support::{World, when};
use api::audit::v1::{
    ExplainDecisionRequest, ExportFormat, ExportRequest, GetAsOfRequest, GetTreeHeadRequest,
    ListEventsRequest, ListSessionActivityRequest, Place, ProveConsistencyRequest, ProveInclusionRequest,
    ReplayRequest, place,
};
use domain::LogId;
use event_log::Position;
use tonic::{Code, Status};
use views::PositionToken;

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

#[tokio::test]
async fn only_auditors_look_at_history() {
    let world = World::new().await;
    world.history().await;
    for name in ["ada", "administrator"] {
        let mut client = world.client_of(name);
        assert_eq!(code(client.list_events(ListEventsRequest::default()).await), Code::PermissionDenied);
        assert_eq!(code(client.replay(ReplayRequest::default()).await), Code::PermissionDenied);
        let request = GetAsOfRequest { at: Some(when(1)), ..Default::default() };
        assert_eq!(code(client.get_as_of(request).await), Code::PermissionDenied);
        let request = ExportRequest { format: ExportFormat::Csv.into(), ..Default::default() };
        assert_eq!(code(client.export(request).await), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_position_of_another_log_is_a_wrong_field() {
    let world = World::new().await;
    world.history().await;
    let foreign = PositionToken::new(LogId::from_parts([b"other".as_slice()]), Position(3)).to_string();
    let at = Some(Place { place: Some(place::Place::Position(foreign.clone())) });
    let beyond = Some(world.place(21));
    let mut client = world.client();
    for place in [at, beyond] {
        for (from, to) in [(place.clone(), None), (None, place.clone())] {
            let request = ReplayRequest { from: from.clone(), to: to.clone(), ..Default::default() };
            assert_eq!(code(client.replay(request).await), Code::InvalidArgument);
            let format = ExportFormat::JsonLines.into();
            let request = ExportRequest { format, from, to, ..Default::default() };
            assert_eq!(code(client.export(request).await), Code::InvalidArgument);
        }
        let request = GetAsOfRequest { at: place, ..Default::default() };
        assert_eq!(code(client.get_as_of(request).await), Code::InvalidArgument);
    }
    let request = ListEventsRequest { wait_for_position: foreign, ..Default::default() };
    assert_eq!(code(client.list_events(request).await), Code::InvalidArgument);
    let request =
        ReplayRequest { from: Some(world.place(9)), to: Some(world.place(8)), ..Default::default() };
    assert_eq!(code(client.replay(request).await), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_what_does_not_come_ends() {
    let world = World::new().await;
    world.history().await;
    let mut client = world.client();
    let request = ListEventsRequest { wait_for_position: world.token(20), ..Default::default() };
    assert_eq!(code(client.list_events(request).await), Code::Ok);
    let request = ListEventsRequest { wait_for_position: world.token(21), ..Default::default() };
    assert_eq!(code(client.list_events(request).await), Code::Unavailable);
}

#[tokio::test]
async fn what_is_planned_says_so() {
    let world = World::new().await;
    let mut client = world.client();
    let id = uuid::Uuid::from_u128(1).to_string();
    let request = ExportRequest { format: ExportFormat::Parquet.into(), ..Default::default() };
    assert_eq!(code(client.export(request).await), Code::Unimplemented);
    assert_eq!(code(client.get_tree_head(GetTreeHeadRequest {}).await), Code::Unimplemented);
    let request = ProveInclusionRequest { event_id: id.clone(), tree_size: 1 };
    assert_eq!(code(client.prove_inclusion(request).await), Code::Unimplemented);
    let request = ProveConsistencyRequest { from_size: 1, to_size: 2 };
    assert_eq!(code(client.prove_consistency(request).await), Code::Unimplemented);
    let request = ListSessionActivityRequest { request_id: id.clone(), ..Default::default() };
    assert_eq!(code(client.list_session_activity(request).await), Code::Unimplemented);
    assert_eq!(
        code(client.explain_decision(ExplainDecisionRequest { request_id: id }).await),
        Code::Unimplemented
    );
}
