//! One batch of events into the tables, with the checkpoint, in one transaction.

use crate::database::{self, Checkpoint};
use crate::{Item, ReadModel};
use rusqlite::{Connection, TransactionBehavior};
use uuid::Uuid;

/// Why a batch was not folded. Nothing of it is in the tables.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    #[error("the database cannot be written: {0}")]
    Storage(rusqlite::Error),
    #[error("the read model failed: {0}")]
    Model(rusqlite::Error),
    #[error("another process moved the checkpoint")]
    Moved,
}

/// Folds `items` after `before`; gives the new checkpoint. An event that the model cannot take, by itself, is set aside.
pub(crate) fn fold<M: ReadModel>(
    connection: &mut Connection,
    model: &mut M,
    log_id: Uuid,
    before: Option<Checkpoint>,
    items: &[Item],
) -> Result<Option<Checkpoint>, FoldError> {
    match fold_once(connection, model, log_id, before, items) {
        Err(FoldError::Model(error)) => {
            tracing::warn!(model = model.name(), %error, "a batch failed and is taken one event at a time");
            let mut at = before;
            for item in items {
                at = fold_one(connection, model, log_id, at, item)?;
            }
            Ok(at)
        }
        folded => folded,
    }
}

fn fold_one<M: ReadModel>(
    connection: &mut Connection,
    model: &mut M,
    log_id: Uuid,
    before: Option<Checkpoint>,
    item: &Item,
) -> Result<Option<Checkpoint>, FoldError> {
    match fold_once(connection, model, log_id, before, std::slice::from_ref(item)) {
        Err(FoldError::Model(error)) => {
            let recorded = &item.recorded;
            tracing::error!(
                model = model.name(), stream = %recorded.stream, revision = recorded.revision.0, %error,
                "a read model cannot take an event; it is set aside"
            );
            let tx = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(FoldError::Storage)?;
            database::set_aside(&tx, recorded, &error.to_string()).map_err(FoldError::Storage)?;
            let after = checkpoint_at(log_id, item);
            advance(&tx, before, after)?;
            tx.commit().map_err(FoldError::Storage)?;
            Ok(Some(after))
        }
        folded => folded,
    }
}

fn fold_once<M: ReadModel>(
    connection: &mut Connection,
    model: &mut M,
    log_id: Uuid,
    before: Option<Checkpoint>,
    items: &[Item],
) -> Result<Option<Checkpoint>, FoldError> {
    let Some(last) = items.last() else { return Ok(before) };
    let after = checkpoint_at(log_id, last);
    let folded = (|| {
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(FoldError::Storage)?;
        for item in items {
            if let Err(error) = &item.event {
                tracing::error!(
                    model = model.name(), stream = %item.recorded.stream, revision = item.recorded.revision.0, %error,
                    "an event cannot be decoded: its stream is quarantined"
                );
                database::set_aside(&tx, &item.recorded, &error.to_string()).map_err(FoldError::Storage)?;
            }
            model.apply(&tx, item).map_err(by_model)?;
        }
        model.finish(&tx).map_err(by_model)?;
        advance(&tx, before, after)?;
        tx.commit().map_err(FoldError::Storage)
    })();
    if folded.is_err() {
        model.forget();
    }
    folded.map(|()| Some(after))
}

fn by_model(error: rusqlite::Error) -> FoldError {
    if database::is_storage(&error) { FoldError::Storage(error) } else { FoldError::Model(error) }
}

fn advance(
    tx: &rusqlite::Transaction<'_>,
    before: Option<Checkpoint>,
    after: Checkpoint,
) -> Result<(), FoldError> {
    if database::advance(tx, before, after).map_err(FoldError::Storage)? {
        Ok(())
    } else {
        Err(FoldError::Moved)
    }
}

fn checkpoint_at(log_id: Uuid, item: &Item) -> Checkpoint {
    Checkpoint { log_id, position: item.recorded.position, event_id: item.recorded.envelope.event_id }
}
