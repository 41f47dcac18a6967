//! Several commands about one request, and about one duty, each decided on what its replica had loaded: the append says which
//! of them wins, and the others look again. (`crates/command/src/commander.rs`: `execute`)

use crate::support::{acting, at, plan, policy, raising, secs, yes, yes_after};
use domain::Timestamp;
use lifecycle::duty::{self, Claim, Duty, DutyClaimed};
use lifecycle::event::RevokedAs;
use lifecycle::raise::{self, Raise};
use lifecycle::state::Status;
use lifecycle::{Rejection, Request, RequestEvent, access, review};
use stateright::{Checker, HasDiscoveries, Model, Property};

const APPROVERS: [&str; 2] = ["bob", "carol"];
const REPLICAS: [&str; 2] = ["replica-0", "replica-1"];

/// What people and time do to a request. Any four of them race.
const ABOUT_A_REQUEST: [Command; 6] = [
    Command::Approve(0),
    Command::Approve(1),
    Command::Reject,
    Command::Withdraw,
    Command::Revoke,
    Command::Elapse,
];
const AT_ONCE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Command {
    /// One of the two approvers of the plan that asks for both.
    Approve(usize),
    /// An approver's no.
    Reject,
    Withdraw,
    Revoke,
    /// The end of the window.
    Elapse,
    /// A replica takes over a duty whose work waits.
    Claim(usize),
}

/// How far a command is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Progress {
    NotBegun,
    /// It has loaded what there was at this revision.
    Loaded {
        revision: usize,
    },
    Accepted,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// The request's events, in the order of its stream.
    story: Vec<(RequestEvent, Timestamp)>,
    /// The duty's.
    claims: Vec<(DutyClaimed, Timestamp)>,
    commands: Vec<Progress>,
    /// Whether time has gone past the end of the window.
    late: bool,
    came_back: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Load(usize),
    Append(usize),
    TimePasses,
}

enum Decided {
    Request(Box<RequestEvent>),
    Duty(DutyClaimed),
}

struct Races {
    commands: Vec<Command>,
    /// The bug to plant: appends do not say what they were decided on.
    without_compare_and_set: bool,
}

impl State {
    fn request(&self) -> Request {
        self.request_at(self.story.len())
    }

    fn request_at(&self, revision: usize) -> Request {
        Request::fold(self.story[..revision].iter().map(|(event, at)| (event, *at))).unwrap()
    }

    fn duty_at(&self, revision: usize) -> Option<Duty> {
        self.claims[..revision].iter().fold(None, |duty, (claimed, at)| Duty::evolve(duty, claimed, *at))
    }

    fn revision(&self, command: Command) -> usize {
        match command {
            Command::Claim(_) => self.claims.len(),
            Command::Approve(_) | Command::Reject | Command::Withdraw | Command::Revoke | Command::Elapse => {
                self.story.len()
            }
        }
    }

    fn seconds(&self) -> i64 {
        if self.late { 100_000 } else { 100 }
    }
}

impl Races {
    fn decide(state: &State, command: Command, revision: usize) -> Result<Decided, Rejection> {
        let seconds = state.seconds();
        let now = at(seconds);
        if let Command::Claim(replica) = command {
            let claim = Claim {
                replica: REPLICAS[replica].to_owned(),
                waiting_since: Some(at(0)),
                patience: secs(1_000_000),
                at: now,
            };
            return duty::claim(state.duty_at(revision).as_ref(), claim).map(Decided::Duty);
        }
        let request = &state.request_at(revision);
        let decided = match command {
            Command::Approve(who) => {
                let before = acting(APPROVERS[1 - who]);
                let approver = acting(APPROVERS[who]);
                let groups: &[&str] = &["approvers"];
                review::approve(
                    request,
                    review::Approve {
                        current: two(),
                        ..yes_after(approver, groups, seconds, &[(&before, groups)])
                    },
                )
            }
            Command::Reject => review::reject(
                request,
                review::Reject {
                    approver: acting("dave"),
                    groups: yes(acting("dave"), &["approvers"], seconds).groups,
                    current: two(),
                    policy_event: policy(),
                    comment: None,
                    at: now,
                },
            ),
            Command::Withdraw => raise::withdraw(request, &acting("ada"), now),
            Command::Revoke => access::revoke(request, RevokedAs::Administrator, None),
            Command::Elapse => access::elapse(request, now),
            Command::Claim(_) => return Err(Rejection::Attended),
        };
        decided.map(|event| Decided::Request(Box::new(event)))
    }

    fn load(&self, state: &mut State, index: usize) -> Option<()> {
        let loaded = Progress::Loaded { revision: state.revision(self.commands[index]) };
        (state.commands[index] == Progress::NotBegun).then(|| state.commands[index] = loaded)
    }

    /// A yes is written if the stream is where it was loaded; a no counts if it was decided on all of the stream; in between
    /// the command begins again.
    fn append(&self, state: &mut State, index: usize) -> Option<()> {
        let Progress::Loaded { revision } = state.commands[index] else { return None };
        if revision != state.revision(self.commands[index]) && !self.without_compare_and_set {
            state.commands[index] = Progress::NotBegun;
            return Some(());
        }
        let decided = Self::decide(state, self.commands[index], revision);
        let now = at(state.seconds());
        let before = state.request();
        state.commands[index] = match decided {
            Ok(Decided::Request(event)) => {
                state.story.push((*event, now));
                Progress::Accepted
            }
            Ok(Decided::Duty(claimed)) => {
                state.claims.push((claimed, now));
                Progress::Accepted
            }
            Err(_) => Progress::Refused,
        };
        let after = state.request();
        state.came_back |= is_over(&before) && after.status() != before.status();
        Some(())
    }
}

/// The plan that asks for two.
fn two() -> domain::Plan {
    plan(&[(2, &["approvers"])])
}

fn is_over(request: &Request) -> bool {
    match request.status() {
        Status::Expired | Status::Rejected | Status::Ended => true,
        Status::Requested | Status::Approved => false,
    }
}

fn accepted(model: &Races, state: &State, command: Command) -> bool {
    model
        .commands
        .iter()
        .zip(&state.commands)
        .any(|(known, progress)| *known == command && *progress == Progress::Accepted)
}

impl Model for Races {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let raising = raising();
        let grounds = lifecycle::event::Grounds { plan: two(), ..raising.grounds.clone() };
        let requested = raise::raise(Raise { grounds, ..raising }).unwrap();
        vec![State {
            story: vec![(requested, at(0))],
            claims: Vec::new(),
            commands: vec![Progress::NotBegun; self.commands.len()],
            late: false,
            came_back: false,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions
            .extend((0..self.commands.len()).flat_map(|index| [Action::Load(index), Action::Append(index)]));
        actions.push(Action::TimePasses);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Load(index) => self.load(&mut state, index),
            Action::Append(index) => self.append(&mut state, index),
            Action::TimePasses => (!state.late).then(|| state.late = true),
        }?;
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(rules::S6, |_, state: &State| !state.came_back),
            Property::always(rules::ONE_WINS, |model: &Self, state: &State| {
                let no = accepted(model, state, Command::Reject);
                let back = accepted(model, state, Command::Withdraw);
                let revoked = accepted(model, state, Command::Revoke);
                let elapsed = accepted(model, state, Command::Elapse);
                u8::from(no) + u8::from(back) + u8::from(revoked) + u8::from(elapsed) <= 1
            }),
            Property::always(rules::NOTHING_LOST, |_, state: &State| {
                // Every event that was accepted changed what it was written to.
                let mut request = None;
                state.story.iter().all(|(event, at)| {
                    let before = request.take();
                    let unchanged = before.clone();
                    request = Request::evolve(before, event, *at);
                    let ignore_time = |request: Option<Request>| {
                        request.map(|request| Request { last_at: request.raised_at, ..request })
                    };
                    ignore_time(request.clone()) != ignore_time(unchanged)
                })
            }),
            Property::always(rules::BOTH_COUNT, |model: &Self, state: &State| {
                !(accepted(model, state, Command::Approve(0)) && accepted(model, state, Command::Approve(1)))
                    || state.request().status() != Status::Requested
            }),
            Property::always(rules::ONE_HOLDER, |_, state: &State| state.claims.len() <= 1),
        ]
    }
}

mod rules {
    pub(super) const S6: &str = "S6 what is over stays over";
    pub(super) const ONE_WINS: &str = "S6 of decisions that end it, one wins";
    pub(super) const NOTHING_LOST: &str = "an event that was accepted says something";
    pub(super) const BOTH_COUNT: &str = "two that agree at once both count";
    pub(super) const ONE_HOLDER: &str = "one replica holds a duty that is attended";
    pub(super) const ALL: [&str; 5] = [S6, ONE_WINS, NOTHING_LOST, BOTH_COUNT, ONE_HOLDER];
}

/// Every way to choose `count` of `commands`.
fn choices(commands: &[Command], count: usize) -> Vec<Vec<Command>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let with = |first: usize| {
        let rest = choices(&commands[first + 1..], count - 1);
        rest.into_iter().map(move |rest| [vec![commands[first]], rest].concat())
    };
    (0..commands.len()).flat_map(with).collect()
}

fn holds(commands: Vec<Command>) {
    let told = format!("{commands:?}");
    let checker = Races { commands, without_compare_and_set: false }.checker().threads(2).spawn_dfs().join();
    println!("{told}: {} different states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    for rule in rules::ALL {
        if let Some(path) = checker.discovery(rule) {
            panic!("{told}: {rule}: {:#?}", path.into_actions());
        }
    }
}

fn finds(commands: &[Command], rule: &'static str) {
    let model = Races { commands: commands.to_vec(), without_compare_and_set: true };
    let checker =
        model.checker().threads(2).finish_when(HasDiscoveries::AllOf([rule].into())).spawn_bfs().join();
    assert!(checker.discovery(rule).is_some(), "not found: {rule}");
}

#[test]
fn of_decisions_at_once_one_wins_and_none_is_lost() {
    for commands in choices(&ABOUT_A_REQUEST, AT_ONCE) {
        holds(commands);
    }
}

#[test]
fn of_replicas_that_claim_at_once_one_wins() {
    holds(vec![Command::Claim(0), Command::Claim(1)]);
}

#[test]
fn without_compare_and_set_decisions_are_lost() {
    let both = [Command::Approve(0), Command::Approve(1)];
    finds(&both, rules::BOTH_COUNT);
    finds(&[Command::Reject, Command::Withdraw], rules::ONE_WINS);
    finds(&[Command::Approve(0), Command::Reject], rules::NOTHING_LOST);
    finds(&[Command::Claim(0), Command::Claim(1)], rules::ONE_HOLDER);
}
