//! What a learner has collected so far.

use super::board::Tally;

/// What was collected from a scoreboard, and its totals at that time.
#[derive(Debug)]
pub struct Account {
    collected: Vec<Tally>,
    counted: Vec<Tally>,
}

impl Account {
    /// An empty account for `tasks` tasks.
    pub fn new(tasks: usize) -> Self {
        Self { collected: vec![Tally::default(); tasks], counted: vec![Tally::default(); tasks] }
    }

    /// Continues from a checkpoint. `None` for `collected` means that nothing was collected; for `counted`, that the remembered
    /// totals stay.
    pub fn resume(&mut self, collected: Option<Vec<Tally>>, counted: Option<Vec<Tally>>) {
        self.collected = collected.unwrap_or_else(|| vec![Tally::default(); self.counted.len()]);
        if let Some(counted) = counted {
            self.counted = counted;
        }
    }

    /// What was added to the totals since the last call. `last` is the newest score.
    pub fn take(&mut self, totals: &[Tally]) -> Vec<Tally> {
        let take = |(now, (before, all)): (&Tally, (&mut Tally, &mut Tally))| {
            if now.episodes < before.episodes {
                *before = *now; // a checkpoint that counts more than there is, is not of this scoreboard
            }
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

    /// Everything that was ever collected.
    pub fn collected(&self) -> &[Tally] {
        &self.collected
    }

    /// The totals at the last call.
    pub fn counted(&self) -> &[Tally] {
        &self.counted
    }
}
