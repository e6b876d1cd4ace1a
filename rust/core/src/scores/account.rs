//! What a learner has collected.

use super::board::Tally;

/// What was collected of a scoreboard's totals, and how they stood then.
#[derive(Debug)]
pub struct Account {
    collected: Vec<Tally>,
    counted: Vec<Tally>,
}

impl Account {
    /// Nothing was collected of so many tasks.
    pub fn new(tasks: usize) -> Self {
        Self { collected: vec![Tally::default(); tasks], counted: vec![Tally::default(); tasks] }
    }

    /// Goes on from what a checkpoint holds. `None`: nothing was collected; the totals stay as they stood.
    pub fn resume(&mut self, collected: Option<Vec<Tally>>, counted: Option<Vec<Tally>>) {
        self.collected = collected.unwrap_or_else(|| vec![Tally::default(); self.counted.len()]);
        if let Some(counted) = counted {
            self.counted = counted;
        }
    }

    /// What has come to the totals since the last time. `last` is the newest that there is.
    pub fn take(&mut self, totals: &[Tally]) -> Vec<Tally> {
        let take = |(now, (before, all)): (&Tally, (&mut Tally, &mut Tally))| {
            let mut added = Tally::default();
            added.advance(now, before);
            if added.episodes > 0 {
                all.advance(now, before);
                *before = *now;
            }
            added
        };
        totals.iter().zip(self.counted.iter_mut().zip(&mut self.collected)).map(take).collect()
    }

    /// All that was ever collected.
    pub fn collected(&self) -> &[Tally] {
        &self.collected
    }

    /// How the totals stood the last time.
    pub fn counted(&self) -> &[Tally] {
        &self.counted
    }
}
