//! What the machine can do at best, in the same run: raw unary calls, and writing alone: on JetStream acknowledged publishing by its client,
//! beside which appends are measured as well; on SQLite appends.

use crate::{Failed, Measured, engine, logs, publish, say, unary};
use std::time::Duration;
use test_servers::nats::NatsOptions;

/// Raw unary calls and raw writing, of many callers and of one.
pub(crate) struct Limits {
    unary_many: Measured,
    unary_one: Measured,
    write_many: Measured,
    write_one: Measured,
}

impl Limits {
    /// Measures for `within` each, on a log of its own: on a NATS server, or on SQLite.
    pub(crate) async fn measure(callers: usize, within: Duration, nats: bool) -> Result<Self, Failed> {
        let server = logs::nats_server(nats, NatsOptions::default()).await?;
        let folder = tempfile::tempdir()?;
        let log = logs::open(server.as_ref(), folder.path()).await?;
        let unary_many = unary::run(callers, within).await?;
        unary_many.say(&format!("raw unary, {callers} callers"));
        let unary_one = unary::run(1, within).await?;
        unary_one.say("raw unary, one caller");
        let append_many = engine::run(log.clone(), callers, within, 1).await?;
        append_many.say(&format!("raw append, {callers} callers"));
        let append_one = engine::run(log, 1, within, 2).await?;
        append_one.say("raw append, one caller");
        let Some(server) = server else {
            return Ok(Self { unary_many, unary_one, write_many: append_many, write_one: append_one });
        };
        let write_many = publish::run(&[server.url()], 1, callers, within).await?;
        write_many.say(&format!("raw acknowledged publishing, {callers} callers"));
        let write_one = publish::run(&[server.url()], 1, 1, within).await?;
        write_one.say("raw acknowledged publishing, one caller");
        Ok(Self { unary_many, unary_one, write_many, write_one })
    }

    /// Says how far `measured` is from a call and a write one after the other; `budget`: the share that is to be reached.
    pub(crate) fn say_share(&self, measured: &Measured, budget: Option<f64>) {
        let limit = 1.0 / (1.0 / self.unary_many.per_second + 1.0 / self.write_many.per_second);
        let share = measured.per_second / limit;
        let budget =
            budget.map_or_else(|| "no budget".to_owned(), |least| format!("budget: at least {least}"));
        say(&format!("throughput: {share:.2} of the limit of {limit:.0}/s; {budget}"));
    }

    /// The same of the median for one caller; `budget`: how many times a raw call and a raw write it may take.
    pub(crate) fn say_median(&self, measured: &Measured, budget: Option<f64>) {
        let raw = (self.unary_one.p50 + self.write_one.p50).as_secs_f64();
        let times = measured.p50.as_secs_f64() / raw;
        let budget = budget.map_or_else(|| "no budget".to_owned(), |most| format!("budget: at most {most}"));
        say(&format!("median of one caller: {times:.1} times raw; {budget}"));
    }
}
