//! A leader that was replaced and does not know it: what it says is not believed.

use super::{cluster, open_at};
use crate::given::{after, event, fill, in_time, put, stream};
use event_log::{AppendError, EventLog, Expected, LogError, Position};
use event_log_jetstream::STREAM;
use futures::TryStreamExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_replaced_tells_nobody_of_the_past() {
    let cluster = cluster().await;
    in_time(async {
        let target = stream("request-1");
        fill(&open_at(&cluster, 0).await, &target, 0, 3).await;
        let old = cluster.stream_leader(STREAM).await.unwrap();
        let (behind, ahead) = (open_at(&cluster, old).await, open_at(&cluster, (old + 1) % 3).await);
        cluster.part(old).unwrap();
        // The others have to elect one first.
        let fourth = put(&ahead, &target, after(2), &event(3)).await.unwrap();
        // From here on, three events are the past. Until it notices that it is alone, the old leader knows of no more.
        let read: Result<Vec<_>, _> = behind.read_stream(&target, None).try_collect().await;
        assert!(matches!(read, Err(LogError::Unavailable(_))), "{read:?}");
        let head = behind.head().await;
        assert!(matches!(head, Err(LogError::Unavailable(_))), "{head:?}");
        let there = behind.event_at(fourth.position).await;
        assert!(matches!(there, Err(LogError::Unavailable(_))), "{there:?}");
        // Whether this event is new is for those to say who are more.
        let again = behind.append(&target, after(3), event(4)).await;
        assert!(matches!(again, Err(AppendError::Unavailable(_) | AppendError::Unknown(_))), "{again:?}");
        assert!(behind.append(&stream("request-2"), Expected::NoStream, event(5)).await.is_err());
        cluster.join(old).unwrap();
        put(&behind, &target, after(3), &event(4)).await.unwrap();
        assert!(ahead.head().await.unwrap() >= Position(5));
    })
    .await;
}
