//! `GetPolicy`.

use super::event_id;
use crate::core::Core;
use crate::policies::history::{self, Keep};
use api::approval::v1::{GetPolicyRequest, GetPolicyResponse};
use tonic::Status;
use views::refusal;

pub(super) async fn get_policy(core: &Core, message: &GetPolicyRequest) -> Result<GetPolicyResponse, Status> {
    core.views.reach(&message.wait_for_position).await?;
    let record = match event_id("event_id", &message.event_id)? {
        None => {
            let history = history::read(core, Keep::InForce).await?;
            history.in_force().map(|record| history.show(core, record))
        }
        Some(event) => {
            let history = history::read(core, Keep::Of(event)).await?;
            let record = history.find(event).ok_or_else(|| refusal::not_found("policy"))?;
            Some(history.show(core, record))
        }
    };
    Ok(GetPolicyResponse { record })
}
