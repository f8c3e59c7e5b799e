//! Chance from a seed.

/// A small generator, so that a failure can be seen again.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = meridian::steering::pick::next_draw(self.0);
        self.0
    }

    /// A number below a limit that is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
