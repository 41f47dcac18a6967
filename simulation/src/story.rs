//! A short story: of everything that happened, what has to do with what did not hold.

use std::collections::BTreeSet;

/// What is told whatever it is about.
const ALWAYS: [&str; 3] = ["VIOLATED", "world", "company"];

/// What is told of machines.
const OF_MACHINES: [&str; 6] = ["crashes", "starts", "is paused", "goes on", "has its clock", "is cut off"];

/// The last `lines_max` of the lines that name one of `subjects`, or tell of machines and the world. Orders are followed by their
/// key to their answers. Without subjects: the last lines.
pub(crate) fn short<'a>(lines: &'a [String], subjects: &[String], lines_max: usize) -> Vec<&'a str> {
    let mut keys = BTreeSet::new();
    let told = lines.iter().filter(|line| {
        let (who, what) = parts(line);
        let named = subjects.iter().any(|subject| names(what, subject));
        if named && let Some(key) = key_of(what) {
            keys.insert(key.to_owned());
        }
        let answers = what.split_once(':').is_some_and(|(key, _)| keys.contains(key));
        subjects.is_empty()
            || named
            || answers
            || ALWAYS.contains(&who)
            || OF_MACHINES.iter().any(|does| what.starts_with(does))
    });
    let told: Vec<&str> = told.map(String::as_str).collect();
    let skipped = told.len().saturating_sub(lines_max);
    told.into_iter().skip(skipped).collect()
}

/// Who, and what: a line begins with its time.
fn parts(line: &str) -> (&str, &str) {
    let rest = line.trim_start().split_once("  ").map_or("", |(_, rest)| rest);
    rest.split_once(' ').map_or((rest, ""), |(who, what)| (who, what.trim_start()))
}

/// Whether `what` names `subject` as a word of its own.
fn names(what: &str, subject: &str) -> bool {
    what.match_indices(subject).any(|(at, _)| {
        let next = what.get(at + subject.len()..).and_then(|rest| rest.chars().next());
        let before = what.get(..at).and_then(|start| start.chars().next_back());
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !word(next) && !word(before)
    })
}

/// The idempotency key of an order.
fn key_of(what: &str) -> Option<&str> {
    let (_, rest) = what.rsplit_once("(key-")?;
    let (number, _) = rest.split_once(')')?;
    let at = what.len() - rest.len();
    what.get(at - "key-".len()..at + number.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_story_follows_its_subject_and_leaves_out_others() {
        let lines: Vec<String> = [
            "  0:01.000  ada      withdraws r1 (key-7) at alpha",
            "  0:01.500  log      #9 request.withdrawn r11 by eve",
            "  0:02.000  ada      key-7: no answer",
            "  0:02.100  eve      key-8: done",
            "  0:03.000  beta     crashes",
        ]
        .map(str::to_owned)
        .into();
        let told = short(&lines, &["r1".to_owned()], 10);
        assert_eq!(told, [&lines[0], &lines[2], &lines[4]]);
        assert_eq!(short(&lines, &["r1".to_owned()], 1), [&lines[4]]);
        assert_eq!(short(&lines, &[], 2), [&lines[3], &lines[4]]);
    }
}
