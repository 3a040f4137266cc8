//! Times of many runs in constant memory: the least, and the median to within a percent.
//!
//! A run takes nanoseconds, reading the clock takes tens of them: runs are timed in batches, and
//! what reading the clock costs is taken off.

use std::time::{Duration, Instant};

/// Steps between two powers of two: the median is off by at most one.
const STEPS: u32 = 128;

/// How long runs took.
pub struct Times {
    /// How often each time was seen: 128 buckets a power of two, of picoseconds.
    buckets: Vec<u64>,
    count: u64,
    least: u64,
    /// What a pair of clock readings takes, in picoseconds.
    clock: u64,
}

/// The least time of a run and the median, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The shortest.
    pub min: f64,
    /// Half of the runs were shorter.
    pub median: f64,
}

impl Times {
    /// Finds out what reading the clock costs.
    pub fn new() -> Self {
        let cost = (0..256).map(|_| picoseconds(Instant::now().elapsed())).min().unwrap_or(0);
        Self::with_clock(cost)
    }

    fn with_clock(clock: u64) -> Self {
        Self { buckets: vec![0; (64 * STEPS) as usize], count: 0, least: u64::MAX, clock }
    }

    /// Adds runs that took `elapsed` together.
    pub fn record(&mut self, runs: u32, elapsed: Duration) {
        if runs == 0 {
            return;
        }
        let each = picoseconds(elapsed).saturating_sub(self.clock) / u64::from(runs);
        self.least = self.least.min(each);
        self.count += u64::from(runs);
        self.buckets[bucket(each)] += u64::from(runs);
    }

    /// The times so far.
    pub fn summary(&self) -> Option<Summary> {
        let mut before = 0;
        let median = self.buckets.iter().position(|count| {
            before += count;
            2 * before > self.count
        })?;
        let nanoseconds = |picoseconds: u64| (picoseconds / 10) as f64 / 100.0;
        Some(Summary { min: nanoseconds(self.least), median: nanoseconds(middle(median).max(self.least)) })
    }
}

fn picoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().saturating_mul(1000)).unwrap_or(u64::MAX)
}

/// The bucket of a time: as it is below `STEPS`, then its upper bits.
fn bucket(time: u64) -> usize {
    let Some(shift) = time.checked_ilog2().and_then(|log| log.checked_sub(STEPS.ilog2())) else {
        return usize::try_from(time).expect("below STEPS");
    };
    let step = (time >> shift) - u64::from(STEPS);
    usize::try_from(u64::from((shift + 1) * STEPS) + step).expect("one of the buckets")
}

/// A time in the middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let steps = u64::from(STEPS);
    match (bucket / steps).checked_sub(1) {
        None => bucket,
        Some(shift) => ((steps + bucket % steps) << shift) + ((1 << shift) >> 1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Times, bucket, middle};

    #[test]
    fn buckets_are_in_order_and_narrow() {
        let bits = (17..64).map(|bit| 1 << bit);
        let mut last = 0;
        for time in (0..100_000).chain(bits).chain([u64::MAX]) {
            let found = bucket(time);
            assert!((last..64 * 128).contains(&found), "{time} is in bucket {found}");
            last = found;
            let error = middle(found).abs_diff(time);
            assert!(error <= time / 128 + 1, "{time} is shown as {}", middle(found));
        }
    }

    #[test]
    fn the_median_is_that_of_runs_and_the_clock_is_taken_off() {
        let mut times = Times::with_clock(20_000);
        assert_eq!(times.summary(), None);
        times.record(1, Duration::from_nanos(25));
        times.record(10, Duration::from_nanos(120));
        times.record(3, Duration::from_nanos(10));
        let summary = times.summary().expect("there were runs");
        assert_eq!(summary.min, 0.0);
        assert!((summary.median - 10.0).abs() < 0.1, "{summary:?}");
    }
}
