use std::time::Duration;

/// A generator whose seed is printed, and can be given again through the environment.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Takes the seed from the variable, else one that is new each time.
    #[track_caller]
    pub(crate) fn seeded(variable: &str) -> Self {
        let seed = std::env::var(variable).map_or_else(
            |_| fresh(),
            |text| text.parse().expect("the seed is a number"),
        );
        println!("{variable}={seed}");
        Self(seed)
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number of the sequence (splitmix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    /// Returns a number from `start` to `end`, both included.
    pub(crate) fn between(&mut self, start: usize, end: usize) -> usize {
        start + self.below(end - start + 1)
    }

    pub(crate) fn below_duration(&mut self, end: Duration) -> Duration {
        let end = u64::try_from(end.as_nanos()).unwrap();
        Duration::from_nanos(self.next() % end)
    }

    /// Says yes once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn fresh() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}
