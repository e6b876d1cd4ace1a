//! The totals of other nodes, in the scoreboard of the learner's node.

use std::collections::BTreeMap;

use super::board::Tally;
use super::file::File;
use crate::directory::{ChannelName, Places};
use crate::error::{Error, Result};
use crate::layout::scores;
use crate::sync::relaxed;

/// A learner's scoreboard, as its node's relay uses it: with a block for each other node.
///
/// A block is identified by the incarnation of its node's scoreboard, and is set to that scoreboard's totals. So it makes no
/// difference how often the same totals arrive, or which ones were lost before. A relay that takes over from a killed one finds
/// in the file what has been counted. Of two totals of a row, the one with more episodes is newer; an older one that arrives late
/// is ignored.
pub struct RemoteScores {
    file: File,
    name: ChannelName,
    blocks: BTreeMap<u64, usize>,
}

impl RemoteScores {
    /// The scoreboard of a channel. `None` if no learner on this node has created one, or if it has ended.
    ///
    /// # Errors
    /// What is wrong with the file or its directory.
    pub fn open(places: &Places, name: &ChannelName) -> Result<Option<Self>> {
        let file = File::find(places, name)?.filter(|file| !file.ended() && file.part_of() == 0);
        Ok(file.map(|file| Self { file, name: name.clone(), blocks: BTreeMap::new() }))
    }

    /// The incarnation of the scoreboard, which its parts on other nodes name.
    pub fn incarnation(&self) -> u64 {
        relaxed(self.file.header(scores::INCARNATION))
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.file.tasks
    }

    /// Whether the learner has ended it.
    pub fn ended(&self) -> bool {
        self.file.ended()
    }

    /// Stores totals of another node's scoreboard, which has the incarnation `node`: of some tasks or all. Returns how many of
    /// them were newer than the stored ones.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if they cannot be such totals, and then nothing is stored; [`Error::StorageFull`];
    /// [`Error::ChannelBusy`] if another relay holds that node's block.
    pub fn take(&mut self, node: u64, totals: &[(usize, Tally)]) -> Result<usize> {
        if node == 0 || totals.iter().any(|(task, tally)| *task >= self.file.tasks || !tally.is_plausible()) {
            return Err(Error::InvalidArgument("these cannot be the totals of another node".into()));
        }
        let block = self.block(node)?;
        let mut taken = 0;
        for (task, tally) in totals {
            let row = self.file.row(block, *task);
            let (seq, words) = row.own();
            if tally.episodes > words[scores::EPISODES] {
                row.prepare(seq, &tally.words()).count();
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// The block of a node: the one that it has had, or one into which nobody has recorded.
    fn block(&mut self, node: u64) -> Result<usize> {
        if let Some(block) = self.blocks.get(&node) {
            return Ok(*block);
        }
        self.file.remap()?;
        let block = match (0..self.file.blocks()).find(|block| self.file.node(*block) == node) {
            Some(block) if self.file.try_take(block, node)? => block,
            Some(_) => return Err(self.busy()),
            None => self.new_block(node)?,
        };
        self.file.sign(block);
        self.blocks.insert(node, block);
        Ok(block)
    }

    fn new_block(&mut self, node: u64) -> Result<usize> {
        loop {
            for block in 0..self.file.blocks() {
                // A process signs a block before it records into it.
                if self.file.pid(block) != 0 || !self.file.try_take(block, 0)? {
                    continue;
                }
                if self.file.pid(block) == 0 {
                    self.file.give_to(block, node);
                    return Ok(block);
                }
                self.file.give_back(block)?;
            }
            self.file.grow()?;
        }
    }

    fn busy(&self) -> Error {
        let (name, policy_id) = (self.name.name().to_owned(), self.name.policy_id());
        Error::ChannelBusy {
            name,
            policy_id,
            holder: "another relay holds a node's block of its scoreboard".into(),
        }
    }
}
