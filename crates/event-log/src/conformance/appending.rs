//! Appends: of racing ones one wins, repeated ones are one, refused ones leave no trace.

use super::Fixture;
use super::given::{
    Log, all_after, assert_whole, event, fill, id, in_time, put, stream, stream_after, try_put, writer,
};
use crate::{AppendError, Appended, BODY_BYTES_MAX, Envelope, Expected, Position, Revision};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Barrier;

/// Tasks that race with each other.
const CONTENDERS: u64 = 8;
/// Revisions that they race for.
const ROUNDS: u64 = 25;

/// Of many appends that expect the same, whoever writes them, one wins; every other one hears what is there now.
pub async fn racing_appends_have_one_winner_per_revision(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let start = Arc::new(Barrier::new(usize::try_from(CONTENDERS).expect("few")));
        let contenders = (0..CONTENDERS)
            .map(|contender| tokio::spawn(contend(Arc::clone(&log), contender, Arc::clone(&start))))
            .collect::<Vec<_>>();
        let mut won = Vec::new();
        for contender in contenders {
            won.extend(contender.await.expect("a contender failed"));
        }
        won.sort_unstable_by_key(|(place, _)| place.revision);
        let written = stream_after(&log, &stream("race-1"), None).await;
        assert_eq!(written.len() as u64, ROUNDS);
        assert_eq!(won.len(), written.len(), "one winner for every revision");
        for ((place, envelope), written) in won.iter().zip(&written) {
            assert_eq!((place.revision, place.position), (written.revision, written.position));
            assert_eq!(*envelope, written.envelope);
        }
        assert_whole(&written);
    })
    .await;
}

/// One contender in every round; returns what it won.
async fn contend(log: Log, contender: u64, start: Arc<Barrier>) -> Vec<(Appended, Envelope)> {
    let race = stream("race-1");
    let mut won = Vec::new();
    let writers = ["request", "approval", "activation"];
    let name = writers.iter().cycle().nth(usize::try_from(contender).expect("few"));
    for round in 0..ROUNDS {
        let envelope =
            Envelope { writer: writer(name.expect("cycles for ever")), ..event(contender * ROUNDS + round) };
        let expected = Expected::after(round.checked_sub(1).map(Revision));
        start.wait().await;
        match try_put(&log, &race, expected, &envelope).await {
            Ok(place) => won.push((place, envelope)),
            Err(AppendError::Conflict { actual }) => assert_eq!(actual, Some(Revision(round))),
            Err(other) => panic!("neither won nor lost: {other}"),
        }
    }
    won
}

/// A writer that loses decides again on the actual revision that the conflict told, until it wins.
pub async fn every_contender_that_looks_again_gets_its_turn(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let tasks = (0..CONTENDERS).map(|contender| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut expected = Expected::NoStream;
                for number in contender * ROUNDS..(contender + 1) * ROUNDS {
                    loop {
                        match try_put(&log, &stream("turns-1"), expected, &event(number)).await {
                            Ok(place) => {
                                assert!(!place.repeated || place.revision >= expected.revision_of_next());
                                expected = Expected::Exact(place.revision);
                                break;
                            }
                            Err(AppendError::Conflict { actual }) => expected = Expected::after(actual),
                            Err(other) => panic!("neither won nor lost: {other}"),
                        }
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("a contender failed");
        }
        let written = stream_after(&log, &stream("turns-1"), None).await;
        assert_eq!(written.len() as u64, CONTENDERS * ROUNDS);
        assert_whole(&written);
    })
    .await;
}

/// The same event from many callers at once: all hear the same place, and that one of them was first.
pub async fn one_event_from_many_callers_is_written_once(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let target = stream("same-1");
        for round in 0..ROUNDS {
            let expected = Expected::after(round.checked_sub(1).map(Revision));
            let callers = (0..CONTENDERS).map(|_| {
                let (log, target) = (Arc::clone(&log), target.clone());
                tokio::spawn(async move { put(&log, &target, expected, &event(round)).await })
            });
            let mut answers = Vec::new();
            for caller in callers.collect::<Vec<_>>() {
                answers.push(caller.await.expect("a caller failed"));
            }
            let written = stream_after(&log, &target, round.checked_sub(1).map(Revision)).await;
            assert_eq!(written.len(), 1, "written once");
            for (answer, written) in answers.iter().zip(written.iter().cycle()) {
                assert_eq!((answer.revision, answer.position), (written.revision, written.position));
            }
            assert!(answers.iter().filter(|answer| !answer.repeated).count() <= 1);
        }
    })
    .await;
}

/// A repeat is answered with the first one's place, wherever that is in the stream, and whatever the repeat expects.
pub async fn a_repeat_answers_with_the_first_place(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let target = stream("repeat-1");
        let places = fill(&log, &target, None, 0..20).await;
        let last = Expected::Exact(Revision(19));
        for (place, number) in places.iter().zip(0..) {
            let first = Expected::after(place.revision.0.checked_sub(1).map(Revision));
            for expected in [first, last, Expected::NoStream, Expected::Exact(Revision(500))] {
                let repeat = put(&log, &target, expected, &event(number)).await;
                assert_eq!(repeat, Appended { repeated: true, ..*place }, "expecting {expected:?}");
            }
        }
        assert_eq!(stream_after(&log, &target, None).await.len(), 20);
    })
    .await;
}

/// An id means one event: with another body it is refused, at the end of the stream or before it.
pub async fn another_body_under_a_known_id_is_refused(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let target = stream("taken-1");
        fill(&log, &target, None, 0..5).await;
        for number in 0..5 {
            let forged = Envelope { body: Bytes::from_static(b"something else"), ..event(number) };
            let first = Expected::after(number.checked_sub(1).map(Revision));
            for expected in [first, Expected::Exact(Revision(4))] {
                let answer = try_put(&log, &target, expected, &forged).await;
                assert_eq!(answer, Err(AppendError::IdTaken), "{number} expecting {expected:?}");
            }
        }
        assert_eq!(stream_after(&log, &target, None).await.len(), 5);
    })
    .await;
}

/// An id that one stream has is free in every other one, with the same body or with another, and means there what it means there.
pub async fn an_id_is_taken_once_in_a_stream_and_may_stand_in_another(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let (early, due) = (stream("early-1"), stream("due-1"));
        let forged = Envelope { body: Bytes::from_static(b"something else"), ..event(1) };
        let first = put(&log, &early, Expected::NoStream, &event(0)).await;
        let second = put(&log, &early, Expected::Exact(first.revision), &forged).await;
        for (number, revision) in [(0, Revision(0)), (1, Revision(1))] {
            let expected = Expected::after(revision.0.checked_sub(1).map(Revision));
            let place = put(&log, &due, expected, &event(number)).await;
            assert_eq!((place.revision, place.repeated), (revision, false));
            let repeat = put(&log, &due, expected, &event(number)).await;
            assert_eq!(repeat, Appended { repeated: true, ..place });
        }
        let last = Expected::Exact(Revision(1));
        assert_eq!(try_put(&log, &due, last, &forged).await, Err(AppendError::IdTaken));
        assert_eq!(try_put(&log, &early, last, &event(1)).await, Err(AppendError::IdTaken));
        assert_eq!(put(&log, &early, last, &forged).await, Appended { repeated: true, ..second });
        for (target, envelopes) in [(early, [event(0), forged]), (due, [event(0), event(1)])] {
            let written = stream_after(&log, &target, None).await;
            let written: Vec<_> = written.into_iter().map(|recorded| recorded.envelope).collect();
            assert_eq!(written, envelopes, "{target}");
        }
    })
    .await;
}

/// A stream that is not as expected: the actual revision is told exactly, and nothing is written.
pub async fn a_conflict_tells_the_actual_revision_and_writes_nothing(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let (there, missing) = (stream("there-1"), stream("missing-1"));
        fill(&log, &there, None, 0..3).await;
        let actual = Some(Revision(2));
        for (target, expected, actual) in [
            (&there, Expected::NoStream, actual),
            (&there, Expected::Exact(Revision(0)), actual),
            (&there, Expected::Exact(Revision(1)), actual),
            (&there, Expected::Exact(Revision(3)), actual),
            (&there, Expected::Exact(Revision(1_000_000)), actual),
            (&missing, Expected::Exact(Revision(0)), None),
            (&missing, Expected::Exact(Revision(7)), None),
        ] {
            let answer = try_put(&log, target, expected, &event(100)).await;
            let conflict = Err(AppendError::Conflict { actual });
            assert_eq!(answer, conflict, "{target} expecting {expected:?}");
        }
        assert_eq!(all_after(&log, Position::START).await.len(), 3);
        let place = put(&log, &there, Expected::Exact(Revision(2)), &event(100)).await;
        assert_eq!((place.revision, place.repeated), (Revision(3), false));
    })
    .await;
}

/// The largest body is stored and comes back; one byte more is refused, and leaves no trace.
pub async fn a_body_at_the_limit_is_taken_and_one_byte_more_is_not(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let target = stream("large-1");
        let large =
            |number: u8, bytes: usize| Envelope { body: vec![number; bytes].into(), ..event(number.into()) };
        let over = BODY_BYTES_MAX + 1;
        let refused = log.append(&target, Expected::NoStream, large(9, over)).await;
        assert_eq!(refused, Err(AppendError::TooLarge { bytes: over }));
        assert_eq!(log.head().await, Ok(Position::START));
        for number in 0..4_u8 {
            let expected = Expected::after(number.checked_sub(1).map(|last| Revision(last.into())));
            put(&log, &target, expected, &large(number, BODY_BYTES_MAX)).await;
        }
        let written = stream_after(&log, &target, None).await;
        assert_eq!(written.len(), 4);
        for (event, number) in written.iter().zip(0..) {
            assert!(event.envelope == large(number, BODY_BYTES_MAX), "every byte of {number}");
        }
    })
    .await;
}

/// Ids, writers and bodies come back as they were given, in every kind of read.
pub async fn bodies_and_writers_come_back_byte_for_byte(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let target = stream("bytes-1");
        let every_byte = (0..=u8::MAX).collect::<Vec<_>>();
        let bodies: [Bytes; 4] = [
            every_byte.into(),
            Bytes::from_static(&[0]),
            Bytes::from_static(b"\xff\xfe\0\r\n"),
            Bytes::from_static("{\"größe\": \"ß\"}".as_bytes()),
        ];
        let mut last = None;
        let mut given = Vec::new();
        for ((body, name), number) in bodies.into_iter().zip(["request", "a", "approval", "x-y-z"]).zip(0..) {
            let envelope = Envelope { event_id: id(number), writer: writer(name), body };
            last = Some(put(&log, &target, Expected::after(last), &envelope).await.revision);
            given.push(envelope);
        }
        let by_stream = stream_after(&log, &target, None).await;
        let by_log = all_after(&log, Position::START).await;
        assert_eq!(by_stream, by_log);
        let back: Vec<_> = by_log.into_iter().map(|event| event.envelope).collect();
        assert_eq!(back, given);
    })
    .await;
}

/// A stream is known by its whole name: no prefix, wildcard or letter case makes two the same.
pub async fn streams_with_similar_names_are_apart(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let names =
            ["a-1", "a-11", "a-1-1", "a-1_1", "aa-1", "b-1", "a-x", "a-X", "a_b-1", "a_-1", "_-1", "a--1"];
        for (name, number) in names.into_iter().zip(0..) {
            let place = put(&log, &stream(name), Expected::NoStream, &event(number)).await;
            assert_eq!((place.revision, place.repeated), (Revision(0), false), "{name}");
        }
        for (name, number) in names.into_iter().zip(0..) {
            let written = stream_after(&log, &stream(name), None).await;
            assert_eq!(written.len(), 1, "{name}");
            assert!(written.iter().all(|recorded| recorded.stream == stream(name)));
            assert!(written.iter().all(|recorded| recorded.envelope == event(number)));
        }
    })
    .await;
}
