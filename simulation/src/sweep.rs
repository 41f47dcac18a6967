//! Many seeds, on all cores: each simulation has a thread to itself.

use crate::{Config, Report, run};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// Simulates `count` seeds from `first` on; `each` hears of every one, in whatever order they end.
pub fn sweep(first: u64, count: u64, config: &Config, each: impl FnMut(Report) + Send) {
    let next = AtomicU64::new(0);
    let each = Mutex::new(each);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= count {
                        return;
                    }
                    let report = run(first.wrapping_add(nth), config);
                    let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
                    each(report);
                }
            });
        }
    });
}
